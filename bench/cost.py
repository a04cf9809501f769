"""What optimizing costs against the number of samples and the size of the model: at most linear, as it should be.

    python -m bench.cost [--technique static_int8] [--whole] [--steps 1 2 4 8] [--repeats 3] [--out cost.json]

On convolutional networks made here with random weights: one network and more and more samples, then deeper and wider
ones and the same samples. For each the processor seconds and the peak memory of one calibration and one recipe, the
least of the repeats; with ``--whole`` also of a whole search for latency. A run that has next to nothing to do tells
what processes and imports cost; the exponent is fitted to what is beyond that: 1 is linear, 0 is constant.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from bench.ahead import ours
from bench.ahead.cases import CaseSettings
from bench.ahead.ours import Wanted

SIDE, CHANNELS, LAYERS, CLASSES = 48, 48, 8, 10
SAMPLES = 64
_EVALUATED = 200
"""At least so many samples to judge by, in a whole search."""


@dataclass(frozen=True)
class Point:
    """One run."""

    what: str
    factor: float
    """Times the smallest, of samples or of bytes."""
    model_bytes: int
    samples: int
    cpu_s: float
    peak_bytes: int


def main() -> int:
    given = _arguments()
    everything: list[Point] = []
    for method in [given.technique, *(["latency"] if given.whole else [])]:
        with tempfile.TemporaryDirectory() as scratch:
            everything += _measured(method, given, Path(scratch))
    if given.out:
        given.out.write_text(json.dumps([asdict(point) for point in everything], indent=1), encoding="utf-8")
    return 0


def _measured(method: str, given: argparse.Namespace, scratch: Path) -> list[Point]:
    def run(what: str, layers: int, channels: int, samples: int) -> Point:
        runs = [_run(method, scratch, network(layers, channels), samples) for _ in range(given.repeats)]
        size = runs[0][2]
        return Point(f"{method}, {what}", 1.0, size, samples, min(run[0] for run in runs), min(run[1] for run in runs))

    least = run("next to nothing", 1, 4, 2)
    print(f"{method}: {least.cpu_s:.2f} s CPU and {least.peak_bytes / 1e6:.0f} MB with next to nothing to do")
    kinds: list[tuple[str, Callable[[int], Point]]] = [
        ("samples", lambda times: run("samples", LAYERS, CHANNELS, SAMPLES * times)),
        ("depth", lambda times: run("depth", LAYERS * times, CHANNELS, SAMPLES)),
        ("width", lambda times: run("width", LAYERS, _width(times), SAMPLES)),
    ]
    points = [least]
    for name, at in kinds:
        found = [at(times) for times in given.steps]
        first = found[0]
        of = [point.samples / first.samples if name == "samples" else point.model_bytes / first.model_bytes
              for point in found]  # fmt: skip
        _tell(name, found, of, least)
        points += [Point(**{**asdict(point), "factor": factor}) for point, factor in zip(found, of, strict=True)]
    return points


def _width(times: int) -> int:
    """Weights go with its square; whole blocks of eight channels, since others are slower for reasons of their own."""
    return 8 * round(CHANNELS * math.sqrt(times) / 8)


def _tell(name: str, points: Sequence[Point], factors: Sequence[float], least: Point) -> None:
    print(f"  {name:8s} {'times':>6s} {'model MB':>9s} {'samples':>8s} {'CPU s':>8s} {'beyond':>8s} {'peak MB':>8s}")
    for point, factor in zip(points, factors, strict=True):
        beyond = point.cpu_s - least.cpu_s
        size = f"{point.model_bytes / 1e6:9.3f} {point.samples:8,d}"
        print(f"  {'':8s} {factor:6.2f} {size} {point.cpu_s:8.2f} {beyond:8.2f} {point.peak_bytes / 1e6:8.0f}")
    cpu = exponent(factors, [point.cpu_s - least.cpu_s for point in points])
    memory = exponent(factors, [float(point.peak_bytes - least.peak_bytes) for point in points])
    print(f"  {'':8s} exponent: CPU {_shown(cpu)}, peak memory {_shown(memory)}", flush=True)


def _shown(value: float | None) -> str:
    return "not to be told apart from none" if value is None else f"{value:.2f}"


def exponent(factors: Sequence[float], costs: Sequence[float]) -> float | None:
    """Slope of the cost over the factor, both in logarithms; None where some run cost nothing beyond the least."""
    if len(factors) < 2 or min(costs) <= 0:
        return None
    return float(np.polyfit(np.log(factors), np.log(costs), 1)[0])


def _run(method: str, scratch: Path, model: ModelProto, samples: int) -> tuple[float, int, int]:
    """Processor seconds, peak bytes, and the bytes of the model, in a process tree of its own."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        draw = np.random.default_rng(0)
        for part, count in (("calib", samples), ("eval", max(samples, _EVALUATED))):
            np.savez(folder / f"{part}.npz", x=draw.standard_normal((count, 3, SIDE, SIDE), dtype=np.float32))
        wanted = Wanted(
            model=str(folder / "model.onnx"),
            evaluation=str(folder / "eval.npz"),
            calibration=str(folder / "calib.npz"),
            settings=CaseSettings(),
        )
        (folder / "request.json").write_text(wanted.model_dump_json(by_alias=True), encoding="utf-8")
        command = [sys.executable, "-m", ours.__name__, method, str(folder / "request.json"), str(folder / "made")]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        told = folder / "made" / "result.json"
        result = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else {"error": done.stderr[-400:]}
        if result["error"]:
            raise SystemExit(f"{method} on {samples} samples: {result['error']}")
        return float(result["cpu_s"]), int(result["peak_bytes"]), (folder / "model.onnx").stat().st_size


def network(layers: int, channels: int) -> ModelProto:
    """Convolutions of equal size, so that time and weights both go with their number."""
    draw = np.random.default_rng(0)
    nodes, weights, last, width = [], [], "x", 3
    for layer in range(layers):
        weight = draw.standard_normal((channels, width, 3, 3)) * math.sqrt(2 / (9 * width))
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"weight_{layer}"))
        nodes.append(helper.make_node("Conv", [last, f"weight_{layer}"], [f"sum_{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"sum_{layer}"], [f"active_{layer}"]))
        last, width = f"active_{layer}", channels
    head = draw.standard_normal((channels, CLASSES)) / math.sqrt(channels)
    weights.append(numpy_helper.from_array(head.astype(np.float32), "head"))
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "head"], ["scores"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    told = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])
    graph = helper.make_graph(nodes, "made", [given], [told], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench.cost", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--technique", default="static_int8")
    parser.add_argument("--whole", action="store_true", help="a whole search for latency too: minutes")
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 2, 4, 8], help="times the smallest")
    parser.add_argument("--repeats", type=int, default=3, help="the least of so many runs counts")
    parser.add_argument("--out", type=Path, help="the points as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
