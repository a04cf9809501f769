"""Where the luck of loading comes from: why the ratio of the same two files differs from one measurement to the next.

    python -m bench.luck [MODEL OTHER] [--seconds 20] [--loads 8]

Two models that use a core in different ways (here: a chain of products in FP32 and with dynamic INT8) are timed side by
side with a probe between the blocks, first in one process that loads nothing anew, then in fresh processes under
several ways to place memory: the C library's default, its two ways to use huge pages, and addresses that are not drawn
by lot. Prints the ratio by what the probe saw, how long it saw it, and the spread between loads with all rounds and
with the disturbed ones set aside. Where the ratio follows the probe within a process, and setting rounds aside does
more than any placement, the luck is somebody else on the same core.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.aa import LAYERS, chain
from enxuto.graph.apply import apply_technique
from enxuto.graph.file import read_model, write_model
from enxuto.machine import this_machine
from enxuto.measure.blocks import time_block, warm_up
from enxuto.measure.latency import load_subject, measure_latency
from enxuto.measure.probe import CoreProbe, floor_of
from enxuto.runtimes import load_model
from enxuto.steps import LatencyLoad, MeasureLatency, Subject
from enxuto.techniques import Context, Work
from enxuto.techniques.dynamic_int8 import DynamicInt8
from enxuto.workload import Workload

ONE, OTHER = "0" * 64, "1" * 64
"""Stand for the files' digests, which nothing here checks."""
BOUNDS = (1.03, 1.06, 1.2, math.inf)
TUNABLE = "GLIBC_TUNABLES"
HUGE = "glibc.malloc.hugetlb="


@dataclass(frozen=True)
class Placement:
    """A way to place a fresh process in memory."""

    name: str
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()


PLACEMENTS = [
    Placement("as it is", {}),
    Placement("transparent huge pages", {TUNABLE: f"{HUGE}1"}),
    Placement("huge pages by mmap", {TUNABLE: f"{HUGE}2"}),
    Placement("addresses not by lot", {}, ("setarch", "-R")),
]


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(_one_load([arguments.model, arguments.other], arguments.child).model_dump_json())
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = [arguments.model, arguments.other] if arguments.model else _made(Path(folder))
        print(f"{this_machine().processor}, {os.cpu_count()} cores; ratio: the first model's time over the second's\n")
        _tell_rounds(*_one_process(paths, arguments.seconds))
        print()
        _tell_loads(_fresh_processes(paths, arguments.loads))


def _one_process(paths: Sequence[Path], seconds: float) -> tuple[list[float], list[float], list[float]]:
    """Ratio of each round, its slowest probe over the floor, and when it began; everything is loaded once."""
    step = _step(0)
    calls = [load_subject(step, load_model(path), {}) for path in paths]
    sizes = [warm_up(call, step.block_ms, 1.0) for call in calls]
    probe, draw = CoreProbe(), random.Random(0)  # noqa: S311 - order, not secrets
    ratios, slowest, begun = [], [], []
    probes, started = [probe()], time.perf_counter()
    while time.perf_counter() - started < seconds:
        begun.append(time.perf_counter() - started)
        blocks, first = {}, len(probes) - 1
        for position in draw.sample(range(2), k=2):
            blocks[position] = time_block(calls[position], sizes[position])
            probes.append(probe())
        ratios.append(blocks[0].median_ms / blocks[1].median_ms)
        slowest.append(max(probes[first:]))
    floor_ns = floor_of(probes)
    return ratios, [probe_ns / floor_ns for probe_ns in slowest], begun


def _tell_rounds(ratios: list[float], probes: list[float], begun: list[float]) -> None:
    print(f"one process, nothing loaded anew: {len(ratios)} rounds in {begun[-1]:.0f} s")
    row = "{:<28} {:>8} {:>8} {:>8} {:>8}"
    print(row.format("probe over its floor", "rounds", "p1", "median", "p99"))
    for low, high in itertools.pairwise((0.0, *BOUNDS)):
        here = [ratio for ratio, probe in zip(ratios, probes, strict=True) if low <= probe < high]
        name = f"{low:g} to {high:g}" if high < math.inf else f"{low:g} and more"
        numbers = [f"{number:.3f}" for number in np.percentile(here, [1, 50, 99])] if here else ["-"] * 3
        print(row.format(name, f"{len(here) / len(ratios):.0%}", *numbers))
    lasted = _episodes(probes, begun)
    if lasted:
        print(f"slow for {len(lasted)} times, {statistics.median(lasted):.2f} s (median) to {max(lasted):.2f} s long")
    together = float(np.corrcoef(np.log(ratios), np.log(probes))[0, 1])
    print(f"correlation of ratio and probe: {together:.2f}")


def _episodes(probes: list[float], begun: list[float]) -> list[float]:
    """Seconds that each run of slow probes lasted."""
    lasted: list[float] = []
    for slow, group in itertools.groupby(range(len(probes)), key=lambda position: probes[position] > BOUNDS[1]):
        positions = list(group)
        if slow:
            lasted.append(begun[min(positions[-1] + 1, len(begun) - 1)] - begun[positions[0]])
    return lasted


def _fresh_processes(paths: Sequence[Path], loads: int) -> dict[str, list[LatencyLoad]]:
    """Loads by placement; the placements take turns, so that all of them see the same hour."""
    found: dict[str, list[LatencyLoad]] = {}
    for load in range(1, loads + 1):
        for placement in PLACEMENTS:
            if placement.prefix and not shutil.which(placement.prefix[0]):
                continue
            command = [*placement.prefix, sys.executable, "-m", "bench.luck", *map(str, paths), "--child", str(load)]
            environment = {**os.environ, **placement.environment, "OPENBLAS_NUM_THREADS": "1"}
            ran = subprocess.run(command, capture_output=True, text=True, env=environment)
            if ran.returncode == 0:
                found.setdefault(placement.name, []).append(LatencyLoad.model_validate_json(ran.stdout))
            elif load == 1:
                print(f"{placement.name}: not here ({(ran.stderr.strip().splitlines() or ['no word'])[-1]})")
    return found


def _tell_loads(found: Mapping[str, Sequence[LatencyLoad]]) -> None:
    print("fresh processes: standard deviation of the ratio between loads, and its range")
    row = "{:<24} {:>6} {:>10} {:>18} {:>16} {:>14}"
    print(row.format("placement", "loads", "all rounds", "disturbed set aside", "range", "disturbed"))
    for name, loads in found.items():
        kept, everything = ([_ratio(load, whole) for load in loads] for whole in (False, True))
        print(
            row.format(
                name,
                len(loads),
                _spread(everything),
                _spread(kept),
                f"{min(kept):.3f}-{max(kept):.3f}",
                f"{statistics.fmean(load.noise.disturbed_share or 0.0 for load in loads):.0%}",
            )
        )


def _ratio(load: LatencyLoad, whole: bool) -> float:
    one, other = load.timings
    rounds = zip(one.block_medians_ms, other.block_medians_ms, load.counted, strict=True)
    return statistics.median(first / second for first, second, counts in rounds if whole or counts)


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.stdev(map(math.log, ratios)):.2%}" if len(ratios) > 1 else "-"


def _one_load(paths: Sequence[Path], load: int) -> LatencyLoad:
    with tempfile.TemporaryDirectory() as folder:
        return measure_latency(_step(load), dict(zip((ONE, OTHER), paths, strict=True)), Path(folder))


def _step(load: int) -> MeasureLatency:
    subjects = [Subject(model=ONE), Subject(model=OTHER)]
    return MeasureLatency(
        subjects=subjects, workload=Workload(), samples=None, preprocessing={}, load=load, seed=0, rounds=20,
        most_rounds=60,
    )  # fmt: skip


def _made(folder: Path) -> list[Path]:
    paths = [folder / "fp32.onnx", folder / "int8.onnx"]
    paths[0].write_bytes(chain(LAYERS, width=256, batch=16).SerializeToString())
    context = Context(folder, 0, None, frozenset(this_machine().instruction_sets), Workload())
    write_model(apply_technique(DynamicInt8(), Work(read_model(paths[0])), context).model, paths[1])
    return paths


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the process that loads nothing anew")
    parser.add_argument("--loads", type=int, default=8, help="fresh processes of each placement")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if (arguments.model is None) != (arguments.other is None):
        parser.error("give two models or none")
    return arguments


if __name__ == "__main__":
    main()
