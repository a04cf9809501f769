"""How well serving plans foretell: simulated and measured p95 side by side, for the highest rate and for lower ones.

    python -m bench.serving MODEL... [--p95-ms 10] [--shares 0.5 0.25] [--batch-sizes 1 4 8] [--seconds 10]

The same plan and the same steps as a ``benchmark`` job with a serving goal; nothing is kept. The first plan of each
model is for the highest rate, the others for shares of it. All come from the same curves and calls, and each is
checked by load runs of its own. Differences are those of the queries that met a quiet moment, where they carry a p95.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.execution.files import FolderFiles
from enxuto.execution.measuring import host_lock
from enxuto.execution.process import StepRunner
from enxuto.machine import this_machine
from enxuto.report import BenchmarkReport, ServingPlan
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Offline, ServingGoal
from enxuto.search.benchmark import benchmark
from enxuto.search.inspect import inspect_model
from enxuto.words import batching_words, significant
from enxuto.workload import Workload

CLOSE = 0.15
ROW = "{:<18} {:>8} {:>9} {:>15} {:>17} {:>7} {:>17} {:>10} {:>8}  {}"


def main() -> None:
    arguments = _arguments()
    print(
        ROW.format(
            "", "rate/s", "busy", "p95 simulated", "measured, all", "quiet", "sim. | measured", "", "pressure", ""
        )
    )
    close = []
    for model in arguments.models:
        for report in _reports(arguments, model):
            if report.plan is None or report.plan.measured is None:
                print(f"{model.parent.name}: {report.plan_why}")
                continue
            print(_row(model.parent.name, report.plan), flush=True)
            if report.plan.difference is not None:
                close.append(abs(report.plan.difference) <= CLOSE)
    print(f"within {CLOSE:.0%}: {sum(close)} of {len(close)}")


def _reports(arguments: argparse.Namespace, path: Path) -> Iterator[BenchmarkReport]:
    with tempfile.TemporaryDirectory() as folder:
        files = FolderFiles(Path(folder) / "files")
        run = StepRunner(files, scratch=Path(folder) / "scratch", measuring_lock=host_lock())
        machine, journal, control = this_machine(), MemoryJournal(), Control()
        asked = {"machine": machine.fingerprint, "journal": journal, "control": control}
        model = drive(inspect_model(files.add(path), path.name), run, **asked)
        goal = ServingGoal(p95_ms=arguments.p95_ms, check_s=arguments.seconds)
        request = BenchmarkOptions(
            scenario=Offline(batch_sizes=arguments.batch_sizes, threads=[1], instances=arguments.instances),
            workload=Workload(runtimes=[arguments.runtime]),
            serving=goal,
        )
        highest = drive(benchmark(request, model, None, machine), run, **asked)
        yield highest
        for share in arguments.shares if highest.plan is not None else []:
            lower = goal.model_copy(update={"rate_per_s": round(share * highest.plan.rate_per_s, 1)})
            yield drive(benchmark(request.model_copy(update={"serving": lower}), model, None, machine), run, **asked)


def _row(name: str, plan: ServingPlan) -> str:
    simulated, measured = plan.simulated, plan.measured
    assert measured is not None
    quiet = measured.quiet
    return ROW.format(
        name,
        significant(plan.rate_per_s),
        f"{simulated.utilization:.0%} {measured.utilization:.0%}",
        _ms(simulated.latency.p95_ms),
        _ms(measured.latency.p95_ms),
        f"{quiet.share:.0%}" if quiet else "",
        f"{_ms(quiet.simulated_p95_ms)} | {_ms(quiet.p95_ms)}" if quiet else "",
        "" if plan.difference is None else f"{plan.difference:+.1%}",
        f"{measured.noise.pressure_share or 0:.0%}",
        f"{batching_words(plan.batching)}, {len(plan.raw)} check(s)",
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ms"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--p95-ms", type=float, default=10.0)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.5, 0.25], help="Of the highest rate.")
    parser.add_argument("--instances", type=int, nargs="+", default=[1])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runtime", default="onnxruntime")
    return parser.parse_args()


if __name__ == "__main__":
    main()
