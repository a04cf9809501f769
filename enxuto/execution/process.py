"""Runs each step in a fresh process of its own, inside the sandbox, and makes an outcome of whatever becomes of it."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from enxuto.errors import EnxutoError, Finding, Interrupted, StepCrashed
from enxuto.execution.explain import death, plain, shortage
from enxuto.execution.files import Files
from enxuto.execution.folder import remove_abandoned, step_folder
from enxuto.execution.leavings import collect, read_document
from enxuto.execution.limits import Limits
from enxuto.execution.measuring import alone
from enxuto.execution.message import FINDING, MISSING_LAYERS, RESULT, Request
from enxuto.execution.references import digests_of, files_named_in
from enxuto.execution.sandbox import Policy, interpreter_paths
from enxuto.execution.spawn import start
from enxuto.execution.watch import wait
from enxuto.schema import Digest, Value
from enxuto.steps import MEASURES, RESULTS, Done, Failed, Outcome, Step

_CHILD = Path(__file__).with_name("child.py")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LayerNames = TypeAdapter(list[str])
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
        """Run one step. Raises Interrupted when ``stop()`` becomes true; all else is an outcome."""
        with alone(self._measuring_lock if step.kind in MEASURES else None, stop):
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
            _warn_of_missing_layers(folder)
            result = _result(step.kind, folder, process.returncode, words, self._limits)
            return result, collect(folder / "out", files_named_in(result), self._files, self._limits)

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
            readable=[*interpreter_paths(), *map(str, inputs.values())],
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


def _result(kind: str, folder: Path, return_code: int, words: str, limits: Limits) -> Value:
    """What the child left; raises what it left instead, or what became of it."""
    if return_code == 1 and (document := read_document(folder / FINDING)) is not None:
        _log.info("step %s failed: %s", kind, plain(words))
        raise _Told(_finding(document))
    if return_code != 0 or (document := read_document(folder / RESULT)) is None:
        _log.warning("step %s died with %s: %s", kind, return_code, plain(words))
        raise death(return_code, words, limits)
    try:
        return RESULTS[kind].model_validate_json(document)
    except ValidationError as error:
        raise StepCrashed(
            f"The step's result is none of its kind: {plain(str(error))}", code="step_result_invalid"
        ) from error


class _Told(EnxutoError):
    """A finding that the child left."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail, code=finding.code, hint=finding.hint)
        self._finding = finding

    @property
    def finding(self) -> Finding:
        return self._finding


def _finding(document: bytes) -> Finding:
    try:
        told = Finding.model_validate_json(document)
    except ValidationError as error:
        raise StepCrashed("The step's finding is none.", code="step_result_invalid") from error
    if not _CODE.fullmatch(told.code):
        raise StepCrashed("The step's finding has no fit code.", code="step_result_invalid")
    return told.model_copy(update={"detail": plain(told.detail), "hint": plain(told.hint)})


def _warn_of_missing_layers(folder: Path) -> None:
    """As the child says; one that lies about it has left the box, and it is too late to ask."""
    document = read_document(folder / MISSING_LAYERS)
    try:
        missing = _LayerNames.validate_json(document or b"[]")
    except ValidationError as error:
        raise StepCrashed("The step says nonsense about its sandbox.", code="step_result_invalid") from error
    if missing:
        _warn_once(plain(", ".join(missing)))


@cache
def _warn_once(missing: str) -> None:
    _log.warning("steps run without a part of the sandbox that this kernel does not give: %s", missing)
