"""How a model carries batches: throughput, latency and memory over batch sizes, and where larger ones stop paying.

    python bench/batching.py MODEL [--runtime openvino] [--threads 1 2] [--instances 1 2] [--batch-sizes 1 8 64]

Doubles the batch until nothing is gained and narrows down to the knee, where no batch sizes are given. The same plan
and the same steps as a ``benchmark`` job; nothing is kept.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.execution.files import FolderFiles
from enxuto.execution.measuring import host_lock
from enxuto.execution.process import StepRunner
from enxuto.machine import this_machine
from enxuto.report import BenchmarkReport, Point
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Offline
from enxuto.search.benchmark import benchmark
from enxuto.search.inspect import inspect_model
from enxuto.search.plan import Progress
from enxuto.words import milliseconds, significant, size, way_words
from enxuto.workload import Workload

ROW = "{:<34} {:>6} {:>12} {:>21} {:>10} {:>6} {:>8} {:>6}"


def main() -> None:
    arguments = _arguments()
    began = time.monotonic()
    report = _measure(arguments)
    print(f"{report.machine.processor}, {report.machine.cores} cores; {time.monotonic() - began:.0f} s")
    print(ROW.format("", "batch", "samples/s", "interval", "p50", "cores", "memory", "loads"))
    for point in report.points:
        print(_row(point))
    print(report.why)


def _measure(arguments: argparse.Namespace) -> BenchmarkReport:
    scenario = Offline(batch_sizes=arguments.batch_sizes, threads=arguments.threads, instances=arguments.instances)
    dims = {name: int(length) for name, length in (each.split("=") for each in arguments.dim)}
    workload = Workload(dims=dims, runtimes=arguments.runtime)
    request = BenchmarkOptions(scenario=scenario, workload=workload, memory_mb=arguments.memory_mb)
    with tempfile.TemporaryDirectory() as folder:
        files = FolderFiles(Path(folder) / "files")
        run = StepRunner(files, scratch=Path(folder) / "scratch", measuring_lock=host_lock())
        machine, journal, control = this_machine(), MemoryJournal(), Control(progress=_say)
        inspecting = inspect_model(files.add(arguments.model), arguments.model.name)
        model = drive(inspecting, run, machine=machine.fingerprint, journal=journal, control=control)
        plan = benchmark(request, model, None, machine)
        return drive(plan, run, machine=machine.fingerprint, journal=journal, control=control)


def _row(point: Point) -> str:
    way = way_words(point.settings, point.threads, point.instances)
    if point.samples_per_s is None:
        return f"{way:<34} {point.batch_size:>6} {point.outcome}: {point.reason} ({point.code})"
    rate = point.samples_per_s
    return ROW.format(
        way,
        point.batch_size,
        significant(rate.value, 4),
        f"{significant(rate.low, 4)}–{significant(rate.high, 4)}",
        milliseconds(point.p50_ms),
        significant(point.cpu_cores or 0.0),
        size(point.memory_bytes),
        point.loads,
    )


def _say(progress: Progress) -> None:
    print(f"\r\033[K{progress.fraction:4.0%} {progress.message}", end="\r", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--runtime", nargs="+", default=["onnxruntime"])
    parser.add_argument("--batch-sizes", nargs="+", type=int)
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--instances", nargs="+", type=int, default=[1])
    parser.add_argument("--memory-mb", type=float)
    parser.add_argument("--dim", nargs="*", default=[], metavar="NAME=LENGTH")
    return parser.parse_args()


if __name__ == "__main__":
    main()
