"""Whether the box holds on this machine: tried out with a real child."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from enxuto.errors import StepCrashed
from enxuto.execution.explain import HOSTILE_OR_DEFECT, death
from enxuto.execution.folder import step_folder
from enxuto.execution.leavings import read_document
from enxuto.execution.limits import Limits
from enxuto.execution.message import Request
from enxuto.execution.probe import FOUND, OUTSIDE
from enxuto.execution.sandbox import Policy, interpreter_paths
from enxuto.execution.spawn import start
from enxuto.execution.watch import wait
from enxuto.schema import Value

_PROBE = Path(__file__).with_name("probe.py")
_LIMITS = Limits(memory_bytes=2**29, time_s=60, scratch_bytes=2**24)


class LayersInForce(Value):
    """As ``sandbox.Layers``."""

    resource_limits: bool
    no_new_privileges: bool
    no_capabilities: bool
    landlock_abi: int
    seccomp: bool


class Examination(Value):
    """Of the box on this machine."""

    layers: LayersInForce
    missing: list[str]
    """Layers that this kernel does not give."""
    stopped: dict[str, bool]
    """Whether each attempt to break out was stopped."""

    @property
    def whole(self) -> bool:
        return not self.missing and all(self.stopped.values())


def examine_sandbox() -> Examination:
    """Start a child that tries to break out. Raises StepCrashed or OutOfCapacity where it cannot even start."""
    with tempfile.TemporaryDirectory() as temporary:
        outside = Path(temporary) / "outside"
        outside.write_text("secret")
        (scratch := Path(temporary) / "scratch").mkdir()
        with step_folder(scratch) as folder:
            _request(folder, outside).write(folder)
            with start(_PROBE, folder, folder / "home") as process:
                words = wait(process, folder, _LIMITS, lambda: False)
            if process.returncode != 0 or (document := read_document(folder / FOUND)) is None:
                raise death(process.returncode, words, _LIMITS)
            try:
                return Examination.model_validate_json(document)
            except ValidationError as error:
                raise StepCrashed(
                    "The probe's answer is none.", code="step_result_invalid", hint=HOSTILE_OR_DEFECT
                ) from error


def _request(folder: Path, outside: Path) -> Request:
    policy = Policy(
        parent=os.getpid(),
        scratch=str(folder),
        readable=interpreter_paths(),
        memory_bytes=_LIMITS.memory_bytes,
        file_bytes=_LIMITS.scratch_bytes,
        open_files=_LIMITS.open_files,
        cpu_s=int(_LIMITS.time_s),
    )
    return Request(step="", files={OUTSIDE: str(outside)}, policy=policy, require_sandbox=False)
