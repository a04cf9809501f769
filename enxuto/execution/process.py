"""Runs each step in a fresh process of its own, inside the sandbox, and makes an outcome of whatever becomes of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from enxuto.errors import EnxutoError, Interrupted, StepCrashed
from enxuto.execution.answer import read_answer, warn_of_missing_layers
from enxuto.execution.explain import KILLED, shortage
from enxuto.execution.files import Files
from enxuto.execution.folder import remove_abandoned, step_folder
from enxuto.execution.leavings import collect
from enxuto.execution.limits import Limits
from enxuto.execution.measuring import alone
from enxuto.execution.message import Request
from enxuto.execution.references import digests_of, files_named_in
from enxuto.execution.sandbox import Policy, interpreter_paths
from enxuto.execution.spawn import start
from enxuto.execution.watch import wait
from enxuto.schema import Digest, Value
from enxuto.steps import MEASURES, Applied, Done, Failed, Outcome, Step

_CHILD = Path(__file__).with_name("child.py")
_log = logging.getLogger(__name__)


class StepRunner:
    """Runs steps one at a time; may be called from any thread that lives until the call returns.

    Step folders are made below ``scratch``. One measuring step at a time runs among all that share ``measuring_lock``.
    """

    def __init__(
        self, files: Files, *, scratch: Path, limits: Limits | None = None, measuring_lock: Path | None = None
    ) -> None:
        self._files = files
        self._scratch = scratch
        self._limits = limits or Limits()
        self._measuring_lock = measuring_lock
        scratch.mkdir(parents=True, exist_ok=True)
        remove_abandoned(scratch)

    def __call__(self, step: Step, *, stop: Callable[[], bool]) -> Outcome:
        """Run one step. Raises Interrupted when ``stop()`` becomes true; all else is an outcome.

        A step that was killed from outside is tried once more: it was not its own doing, and the memory that this
        machine lacked may be there a moment later.
        """
        with alone(self._measuring_lock if step.kind in MEASURES else None, stop):
            outcome = self._attempt(step, stop)
            if isinstance(outcome, Failed) and outcome.finding.code == KILLED:
                _log.warning("step %s was killed from outside and is tried once more", step.kind)
                outcome = self._attempt(step, stop)
            return outcome

    def _attempt(self, step: Step, stop: Callable[[], bool]) -> Outcome:
        started = time.monotonic()
        try:
            result, files = self._run(step, stop)
        except Interrupted:
            raise
        except EnxutoError as error:
            return Failed(finding=error.finding, elapsed_s=time.monotonic() - started)
        except OSError as error:
            if (short := shortage(error)) is None:
                raise
            return Failed(finding=short.finding, elapsed_s=time.monotonic() - started)
        return Done[Value](result=result, files=files, elapsed_s=time.monotonic() - started)

    def _run(self, step: Step, stop: Callable[[], bool]) -> tuple[Value, dict[str, Digest]]:
        inputs = {digest: self._path(digest) for digest in digests_of(step)}
        with step_folder(self._scratch) as folder:
            self._request(step, inputs, folder).write(folder)
            with start(_CHILD, folder, folder / "home") as process:
                words = wait(process, folder, self._limits, stop)
            warn_of_missing_layers(folder)
            result = read_answer(step.kind, folder, process.returncode, words, self._limits)
            files = collect(folder / "out", files_named_in(result), self._files, self._limits)
            self._keep_together(result, files)
            return result, files

    def _readable(self, inputs: dict[Digest, Path]) -> list[str]:
        """The files themselves, and of a model those beside it that hold its weights."""
        beside = {str(path.with_name(name)) for digest, path in inputs.items() for name in self._files.beside(digest)}
        return [*map(str, inputs.values()), *sorted(beside)]

    def _keep_together(self, result: Value, files: dict[str, Digest]) -> None:
        if isinstance(result, Applied) and result.beside_files:
            self._files.put_beside(files[result.file], [files[name] for name in result.beside_files])

    def _path(self, digest: Digest) -> Path:
        try:
            return self._files.path(digest).resolve()
        except KeyError:
            raise StepCrashed(
                f"A step needs a file that is not kept here: {digest}.",
                code="file_missing",
                hint="It was deleted while the job ran, or the folder with Enxuto's data was changed by hand.",
            ) from None

    def _request(self, step: Step, inputs: dict[Digest, Path], folder: Path) -> Request:
        limits = self._limits
        policy = Policy(
            parent=os.getpid(),
            scratch=str(folder),
            readable=[*interpreter_paths(), *self._readable(inputs)],
            memory_bytes=limits.memory_bytes,
            file_bytes=limits.scratch_bytes,
            open_files=limits.open_files,
            cpu_s=int(limits.time_s * (os.cpu_count() or 1)) + 1,
        )
        return Request(
            step=step.model_dump_json(by_alias=True),
            files={digest: str(path) for digest, path in inputs.items()},
            policy=policy,
            require_sandbox=limits.require_sandbox,
        )
