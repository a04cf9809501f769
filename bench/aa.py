"""Whether a speedup can be believed: a model beside itself under another name, and beside models that really differ.

    python -m bench.aa [--repeats 100] [--busy] [--threads 1]        the bars, on networks made here
    python -m bench.aa MODEL [OTHER] [--repeats 10] [--batch-size 1]  the same on models of your own

Each run times all of them side by side as a job does: fresh loads in the box, added until the interval is narrow and on
one side of the margin or time is spent. Made here: a chain of equal layers, itself, and chains that are longer by 5 and
by 10 %, a call of about 0.3 ms. ``--busy`` keeps another core under full load meanwhile, by a model of its own.

Prints a line a run, then for each subject how often each verdict fell, and how far two runs were apart. Exit status 1
when a bar is missed: of 100 runs, at least 97 that find no difference where there is none, 80 ``no_gain`` among them
where the machine is quiet, 95 that call 10 % and 80 that call 5 %. A hundred runs take about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.execution.files import FolderFiles
from enxuto.execution.measuring import host_lock
from enxuto.execution.process import StepRunner
from enxuto.machine import this_machine
from enxuto.report import Measurements, Verdict
from enxuto.request import MARGIN, RunOptions
from enxuto.search.plan import Meter, Plan, Progress, metered
from enxuto.search.speed import Conditions, judge_speed, on_one_thread
from enxuto.search.timing import CONFIRMING, SideBySide, Timed, time_side_by_side, with_times
from enxuto.settings import OnnxRuntimeSettings
from enxuto.steps import Failed, HostNoise, Subject
from enxuto.workload import Workload

VERDICTS = ("no_gain", "inconclusive", "improved", "regressed")
LAYERS, WIDTH, BATCH = 20, 128, 96
SAME, SMALL, LARGE = "itself", "5 % longer", "10 % longer"
_NEIGHBOR = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
inputs = {each.name: numpy.zeros([size if isinstance(size, int) else 8 for size in each.shape], numpy.float32)
          for each in session.get_inputs()}
while True:
    session.run(None, inputs)
"""


@dataclass(frozen=True)
class Rival:
    """A model that is timed beside the baseline, and what is known of it."""

    name: str
    path: Path
    truth: float | None
    """Its speedup by the number of its layers; None where nobody knows."""
    seen: list[Timed] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def add(self, timed: Timed, workload: Workload, noise: Sequence[HostNoise]) -> None:
        """Judged as a job judges it: a speedup that processor time denies is none."""
        conditions = Conditions(MARGIN, on_one_thread(workload, OnnxRuntimeSettings()), noise)
        self.seen.append(timed)
        self.verdicts.append(judge_speed(with_times(Measurements(), timed), conditions).verdict)

    def share(self, *verdicts: str) -> float:
        return sum(verdict in verdicts for verdict in self.verdicts) / len(self.seen)


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        baseline, rivals = _given(arguments) if arguments.model else _made(folder)
        print(f"{this_machine().processor}, {os.cpu_count()} cores, {arguments.threads} thread(s), margin {MARGIN:.0%}")
        with _neighbor(folder) if arguments.busy else _nobody():
            seconds = _run_all(arguments, folder, baseline, rivals)
    _tell(rivals, seconds)
    missed = _missed(rivals, quiet=not arguments.busy)
    print("\n".join(missed) if missed else "every bar is held")
    return 1 if missed else 0


def _run_all(arguments: argparse.Namespace, folder: Path, baseline: Path, rivals: Sequence[Rival]) -> list[float]:
    """Returns the seconds that each run took, waiting for others that measure on this host left out."""
    files = FolderFiles(folder / "files")
    subjects = [Subject(model=files.add(path)) for path in [baseline, *(rival.path for rival in rivals)]]
    runner = StepRunner(files, scratch=folder / "scratch", measuring_lock=host_lock())
    workload = Workload(batch_size=arguments.batch_size, threads=arguments.threads)
    seconds = []
    for repeat in range(arguments.repeats):
        request, meter = RunOptions(workload=workload, seed=repeat), Meter()
        plan = metered(_plan(subjects, request), meter)
        found = drive(plan, runner, machine="here", journal=MemoryJournal(), control=Control())
        seconds.append(meter.spent_s)
        for rival, timed in zip(rivals, found.timed[1:], strict=True):
            rival.add(timed, workload, found.noise)
        disturbed = statistics.fmean(noise.disturbed_share or 0.0 for noise in found.noise)
        numbers = "  ".join(f"{_shown(rival.seen[-1])} {rival.verdicts[-1]:<12}" for rival in rivals)
        print(f"{repeat:>4} {seconds[-1]:5.1f} s {len(found.noise):>3} loads {disturbed:4.0%} {numbers}", flush=True)
    return seconds


def _plan(subjects: Sequence[Subject], request: RunOptions) -> Plan[SideBySide]:
    progress = Progress("measure", "timing", 0.0)
    outcome = yield from time_side_by_side(subjects, request, None, CONFIRMING, MARGIN, lambda _: progress)
    if isinstance(outcome, Failed):
        raise SystemExit(f"a load failed: {outcome.finding.detail}")
    return outcome


def _shown(timed: Timed) -> str:
    return f"{timed.speedup.value:.3f} ({timed.speedup.low:.3f}-{timed.speedup.high:.3f})"


def _tell(rivals: Sequence[Rival], seconds: Sequence[float]) -> None:
    row = "{:<14} {:>8} {:>8}" + " {:>13}" * len(VERDICTS) + " {:>8} {:>9}"
    print(row.format("beside", "claimed", "median", *VERDICTS, "sd", "farthest"))
    for rival in rivals:
        values = [timed.speedup.value for timed in rival.seen]
        claimed = "-" if rival.truth is None else f"{rival.truth:.3f}"
        shares = [f"{rival.share(verdict):.0%}" for verdict in VERDICTS]
        spread = statistics.stdev(values) / statistics.fmean(values) if len(values) > 1 else 0.0
        median, farthest = f"{statistics.median(values):.3f}", f"{max(values) / min(values) - 1:.2%}"
        print(row.format(rival.name, claimed, median, *shares, f"{spread:.2%}", farthest))
    close = [
        abs(one.speedup.value / other.speedup.value - 1) <= MARGIN
        for rival in rivals
        for one, other in itertools.combinations(rival.seen, 2)
    ]
    if close:
        print(f"two runs agree within {MARGIN:.0%}: {statistics.fmean(close):.2%} of {len(close):,} pairs")
    print(f"seconds a run: median {statistics.median(seconds):.1f}, longest {max(seconds):.1f}")


def _missed(rivals: Sequence[Rival], *, quiet: bool) -> list[str]:
    """What should be and is not, in sentences."""
    bars: dict[str, list[tuple[float, tuple[str, ...]]]] = {
        SAME: [(0.97, ("no_gain", "inconclusive")), *([(0.80, ("no_gain",))] if quiet else [])],
        SMALL: [(0.80, ("regressed",))],
        LARGE: [(0.95, ("regressed",))],
    }
    missed = [
        f"MISSED: {rival.name} is {' or '.join(verdicts)} in {rival.share(*verdicts):.0%} of the runs, {bar:.0%} wanted"
        for rival in rivals
        for bar, verdicts in bars.get(rival.name, [])
        if rival.share(*verdicts) < bar
    ]
    for rival in rivals:
        median = statistics.median(timed.speedup.value for timed in rival.seen)
        if rival.truth is not None and abs(median / rival.truth - 1) > 0.01:
            missed.append(f"MISSED: {rival.name} measures {median:.3f} where its layers make {rival.truth:.3f}")
    return missed


def _given(arguments: argparse.Namespace) -> tuple[Path, list[Rival]]:
    rivals = [Rival(SAME, arguments.model, 1.0)]
    return arguments.model, rivals + ([Rival("the other", arguments.other, None)] if arguments.other else [])


def _made(folder: Path) -> tuple[Path, list[Rival]]:
    paths = {}
    for layers in (LAYERS, LAYERS + 1, LAYERS + 2):
        paths[layers] = folder / f"{layers}.onnx"
        paths[layers].write_bytes(chain(layers).SerializeToString())
    longer = {SAME: LAYERS, SMALL: LAYERS + 1, LARGE: LAYERS + 2}
    return paths[LAYERS], [Rival(name, paths[layers], LAYERS / layers) for name, layers in longer.items()]


def chain(layers: int, width: int = WIDTH, batch: int = BATCH) -> ModelProto:
    """Products of equal size one after the other, so that the time of a call goes with their number."""
    draw = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for layer in range(layers):
        weight = (draw.standard_normal((width, width)) * (2 / width) ** 0.5).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"weight_{layer}"))
        after = "y" if layer == layers - 1 else f"active_{layer}"
        nodes.append(helper.make_node("MatMul", [last, f"weight_{layer}"], [f"hidden_{layer}"]))
        nodes.append(helper.make_node("Relu", [f"hidden_{layer}"], [after]))
        last = after
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, width]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@contextmanager
def _neighbor(folder: Path) -> Iterator[None]:
    """Another model that runs all the time, wherever the kernel puts it."""
    path = folder / "neighbor.onnx"
    path.write_bytes(chain(LAYERS, width=256).SerializeToString())
    process = subprocess.Popen([sys.executable, "-c", _NEIGHBOR, str(path)])
    try:
        time.sleep(1.0)  # until it runs
        if process.poll() is not None:
            raise SystemExit("the neighbor does not run")
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _nobody() -> Iterator[None]:
    yield


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--busy", action="store_true", help="keep another core under full load meanwhile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=1, help="where a model of your own leaves it open")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
