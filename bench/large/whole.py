"""A whole search on a large model, and the most memory that the process of each of its steps held."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from enxuto.execution.drive import RunStep
from enxuto.goal import Goal, MaxDrop
from enxuto.machine import this_machine
from enxuto.report import OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.steps import Outcome, Step
from enxuto.workbench import workbench

_LOOK_EVERY_S = 0.02


@dataclass
class Peak:
    """Of one kind of step."""

    steps: int = 0
    failed: int = 0
    peak_bytes: int = 0
    took_s: float = 0.0


@dataclass
class Whole:
    report: OptimizeReport
    peaks: dict[str, Peak]
    took_s: float


def search(model: Path, data: Path | None, goal: str, deadline_s: float | None) -> Whole:
    """The smallest file, or the quickest, that loses 1 % at most."""
    asked = Goal.model_validate({"minimize": goal, "max_drop": MaxDrop(value=0.01) if data else None})
    peaks: dict[str, Peak] = defaultdict(Peak)
    began = time.monotonic()
    with workbench(None) as bench:
        bench.runner = _recording(bench.runner, peaks)
        request = OptimizeOptions(goal=asked, deadline_s=deadline_s)
        plan = optimize(request, bench.model(model), bench.dataset(data), None, this_machine())
        report = bench.drive(plan, deadline_s)
    return Whole(report, dict(peaks), time.monotonic() - began)


def _recording(run: RunStep, peaks: dict[str, Peak]) -> RunStep:
    def recorded(step: Step, *, stop: Callable[[], bool]) -> Outcome:
        began, peak = time.monotonic(), peaks[step.kind]
        with _watching() as seen:
            outcome = run(step, stop=stop)
        peak.steps += 1
        peak.failed += outcome.status == "failed"
        peak.took_s += time.monotonic() - began
        peak.peak_bytes = max(peak.peak_bytes, *seen)
        return outcome

    return recorded


def rows(whole: Whole, size_bytes: int) -> Iterator[str]:
    yield f"{'':22s} {'steps':>6s} {'failed':>7s} {'peak ÷ model':>13s} {'took s':>8s}"
    for kind, peak in sorted(whole.peaks.items(), key=lambda each: -each[1].peak_bytes):
        times = peak.peak_bytes / size_bytes
        yield f"{kind:22s} {peak.steps:6d} {peak.failed:7d} {times:12.2f}× {peak.took_s:8.1f}"
    report = whole.report
    yield f"{report.verdict} in {whole.took_s:.0f} s: {report.why}"
    for candidate in report.candidates:
        size = f"{candidate.model.size_bytes / 1e9:.2f} GB" if candidate.model else ""
        quicker = f"{candidate.selection.speedup.value:.2f}×" if candidate.selection.speedup else ""
        yield f"  {candidate.name:60s} {candidate.outcome:12s} {size:>8s} {quicker:>6s} {candidate.reason or ''}"


@contextlib.contextmanager
def _watching() -> Iterator[list[int]]:
    """The most that a child of this process ever had resident, the pages of mapped files included."""
    seen, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_EVERY_S):
            seen[0] = max(seen[0], *_peaks())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _peaks() -> Iterator[int]:
    yield 0
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in listed.read_text().split():
                for line in Path(f"/proc/{child}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        yield 1024 * int(line.split()[1])
