"""Peak resident memory of a fresh process that loads one model and runs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from enxuto.errors import StepCrashed
from enxuto.measure.latency import load_subject
from enxuto.runtimes import load_model
from enxuto.schema import Digest
from enxuto.steps import MeasureMemory, MemoryUse

_CALLS = 5
"""Memory grows with the first calls, while the runtime learns what it needs."""


def measure_memory(step: MeasureMemory, files: Mapping[Digest, Path], out: Path) -> MemoryUse:
    """Load and run a model, and ask the kernel for the highest resident set of this process.

    Raises:
        BadInput: the subject does not load or run.
    """
    runtime_bytes = _resident_bytes("VmRSS")
    model = load_model(files[step.subject.model], step.subject.settings, step.workload.threads)
    loaded_bytes = _resident_bytes("VmRSS")
    call = load_subject(step, model, files)
    for _ in range(_CALLS):
        call()
    return MemoryUse(
        peak_bytes=_resident_bytes("VmHWM"),
        runtime_bytes=runtime_bytes,
        loaded_bytes=loaded_bytes,
        steady_bytes=_resident_bytes("VmRSS"),
    )


def _resident_bytes(counter: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"^{counter}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise StepCrashed(
            f"/proc/self/status has no {counter}",
            code="memory_not_readable",
            hint="Memory is measured on Linux only, where the box lets a step read /proc/self.",
        )
    return int(found[1]) * 1024
