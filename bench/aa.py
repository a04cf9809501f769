"""Whether a speedup can be believed: a model against itself under another name, and against one that differs.

    python bench/aa.py [MODEL [OTHER]] [--repeats 4] [--loads 6] [--rounds 30] [--block-ms 10] [--threads 1]

Each repeat times the three side by side over fresh loads, in the box, as a job does. The model against itself must stay
within the margin; the other must be told apart as often as its difference is beyond it. Without a path, a small network
is made, and one that computes twice as much.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner
from enxuto.judge.speed import speed_verdict, speedup
from enxuto.machine import this_machine
from enxuto.request import MARGIN
from enxuto.schema import Digest
from enxuto.steps import Done, LatencyLoad, MeasureLatency, Subject
from enxuto.workload import Workload

ROW = "{:<16} {:>6} {:>8} {:>8} {:>8} {:>8} {:>9} {:>13}"


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        files = FolderFiles(Path(folder) / "files")
        models = [files.add(path) for path in _models(arguments, Path(folder))]
        run = StepRunner(files, scratch=Path(folder) / "scratch")
        print(f"{this_machine().processor}, {arguments.threads} thread(s), {arguments.loads} loads a repeat")
        print(ROW.format("against", "repeat", "speedup", "low", "high", "cpu", "load sd %", "verdict"))
        verdicts: dict[str, list[str]] = {"itself": [], "the other": []}
        for repeat in range(arguments.repeats):
            loads = [_load(run, models, arguments, repeat * 1000 + load) for load in range(arguments.loads)]
            for position, name in enumerate(verdicts, start=1):
                verdicts[name].append(_show(name, repeat, loads, position))
        for name, found in verdicts.items():
            print(f"against {name}: " + ", ".join(f"{found.count(each)} {each}" for each in sorted(set(found))))
        print(f"margin {MARGIN:.0%}")


def _load(run: StepRunner, models: Sequence[Digest], arguments: argparse.Namespace, load: int) -> LatencyLoad:
    model, other = models
    step = MeasureLatency(
        subjects=[Subject(model=model), Subject(model=model), Subject(model=other)],
        workload=Workload(batch_size=arguments.batch_size, threads=arguments.threads),
        samples=None,
        preprocessing={},
        load=load,
        seed=0,
        block_ms=arguments.block_ms,
        rounds=arguments.rounds,
        most_rounds=3 * arguments.rounds,
    )
    outcome = run(step, stop=lambda: False)
    if not isinstance(outcome, Done) or not isinstance(outcome.result, LatencyLoad):
        raise SystemExit(f"a load failed: {outcome}")
    return outcome.result


def _show(name: str, repeat: int, loads: Sequence[LatencyLoad], position: int) -> str:
    ratios = [load.timings[position].ratio for load in loads]
    cpu = statistics.geometric_mean(load.timings[position].cpu_ratio for load in loads)
    found = speedup(ratios)
    spread = 100 * statistics.stdev(ratios) / statistics.mean(ratios)
    numbers = [f"{number:.3f}" for number in (found.value, found.low, found.high, cpu)]
    verdict = speed_verdict(found, MARGIN)
    print(ROW.format(name, repeat, *numbers, f"{spread:.2f}", verdict), flush=True)
    return verdict


def _models(arguments: argparse.Namespace, folder: Path) -> list[Path]:
    if arguments.model:
        return [arguments.model, arguments.other or arguments.model]
    paths = [folder / "narrow.onnx", folder / "wide.onnx"]
    for path, width in zip(paths, (512, 1024), strict=True):
        path.write_bytes(_network(width).SerializeToString())
    return paths


def _network(width: int) -> ModelProto:
    draw = np.random.default_rng(0)
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        network (float[batch, 256] x) => (float[batch, 10] y) {
            hidden = MatMul(x, first)
            active = Relu(hidden)
            y = MatMul(active, second)
        }
    """)
    weights = {"first": draw.standard_normal((256, width)), "second": draw.standard_normal((width, 10))}
    model.graph.initializer.extend(numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items())
    return model


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--loads", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--block-ms", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
