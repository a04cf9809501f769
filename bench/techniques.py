"""Every technique on every model below a folder: applied, not applicable or failed, and what it gained.

    python bench/techniques.py FOLDER [--only TEXT] [--technique TEXT] [--loads 3]

A model's samples are taken from ``data/calib.npz`` and ``data/eval.npz`` beside it, where there are any, else drawn at
random. Speed is the median of the ratios of fresh loads within this process, one thread, blocks in random order.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from enxuto.errors import BadInput, EnxutoError, NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.graph.file import read_model, write_model
from enxuto.graph.prove import require_same_signature, require_valid
from enxuto.machine import this_machine
from enxuto.recipe import recipe_name
from enxuto.runtimes import LoadedModel, load_model
from enxuto.techniques import AnyTechnique, Context, Work
from enxuto.techniques.dynamic_int8 import DynamicInt8
from enxuto.techniques.graph_optimization import GraphOptimization
from enxuto.techniques.half_weights import HalfWeights
from enxuto.techniques.magnitude_pruning import MagnitudePruning
from enxuto.techniques.static_int8 import StaticInt8
from enxuto.techniques.weight_only import WeightOnly
from enxuto.workload import Workload

VARIANTS: list[AnyTechnique] = [
    GraphOptimization(),
    HalfWeights(),
    HalfWeights(dtype="bfloat16"),
    DynamicInt8(),
    StaticInt8(),
    StaticInt8(calibration="percentile"),
    StaticInt8(float_stem=True),
    WeightOnly(),
    WeightOnly(bits=4),
    MagnitudePruning(ratio=0.5),
]
CALIBRATION, EVALUATION = 128, 64
BLOCKS, BLOCK_S = 9, 0.02


class ArrayBatches:
    """Samples from arrays in memory."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.count = min(len(array) for array in arrays.values())

    def __call__(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self.count, batch_size):
            yield {name: array[start : start + batch_size] for name, array in self.arrays.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="part of the model's path")
    parser.add_argument("--technique", default="", help="part of the technique's name")
    parser.add_argument("--loads", type=int, default=3, help="fresh loads a ratio; 0 leaves speed out")
    parser.add_argument("--dim", type=int, default=8, help="random samples: size of symbolic axes (48 in images)")
    parser.add_argument("--batch", type=int, default=1, help="samples in a call, where the model leaves it open")
    given = parser.parse_args()
    for path in sorted(given.folder.rglob("*.onnx")):
        if given.only in str(path):
            print(path.relative_to(given.folder), f"{path.stat().st_size:,} bytes")
            for line in report(path, given):
                print("   ", line, flush=True)


def report(path: Path, given: argparse.Namespace) -> Iterator[str]:
    try:
        original = read_model(path)
        baseline = load_model(path)
        calibration, evaluation = samples(path, baseline, given.dim)
        expected = outputs(baseline, evaluation, given.batch)
    except BadInput as error:
        yield f"refused: {error.code}: {error.detail[:200]}"
        return
    for technique in VARIANTS:
        name = recipe_name([technique])
        if given.technique not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            started = time.monotonic()
            sets = frozenset(this_machine().instruction_sets)
            context = Context(scratch, 0, ArrayBatches(calibration), sets, Workload(batch_size=given.batch))
            try:
                done = apply_technique(technique, Work(original), context)
                seconds = time.monotonic() - started
                target = scratch / "model.onnx"
                write_model(done.model, target)
                require_valid(target)
                require_same_signature(original, read_model(target))
                found = outputs(load_model(target), evaluation, given.batch)
                speed = speedup(path, target, evaluation, given) if given.loads else float("nan")
            except NotApplicable as error:
                yield f"{name}: not applicable: {error.code}: {error.detail[:200]}"
                continue
            except EnxutoError as error:
                yield f"{name}: FAILED: {error.code}: {error.detail[:400]}"
                continue
            yield (
                f"{name}: applied in {seconds:.1f} s, size × {target.stat().st_size / path.stat().st_size:.3f}, "
                f"{sqnr_db(expected, found):.1f} dB, speed × {speed:.2f} | {' '.join(done.notes)}"
            )


def samples(path: Path, model: LoadedModel, dim: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    folder = path.parent / "data"
    if path.name.startswith("model") and (folder / "calib.npz").exists():
        return stored(folder / "calib.npz", model, CALIBRATION), stored(folder / "eval.npz", model, EVALUATION)
    return drawn(model, 8, dim, 0), drawn(model, 8, dim, 1)


def stored(path: Path, model: LoadedModel, count: int) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        found = {spec.name: arrays[spec.name][:count] for spec in model.inputs}
    floats = {spec.name for spec in model.inputs if spec.dtype == "float32"}
    return {
        name: as_image(array) if name in floats and array.dtype == np.uint8 else array for name, array in found.items()
    }


def as_image(array: np.ndarray) -> np.ndarray:
    """Raw bytes, NHWC, to what networks read."""
    return array.transpose(0, 3, 1, 2).astype(np.float32) / 255


def drawn(model: LoadedModel, count: int, dim: int, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)

    def array(dtype: str, shape: list[int | str | None] | None) -> np.ndarray:
        symbolic = 48 if len(shape or []) == 4 else dim
        dims = [
            size if isinstance(size, int) else (symbolic if axis else count) for axis, size in enumerate(shape or [])
        ]
        if dtype.startswith("float"):
            return generator.standard_normal(dims).astype(dtype)
        return generator.integers(0, 2, dims).astype(dtype)

    return {spec.name: array(spec.dtype, spec.shape) for spec in model.inputs}


def batch_size(model: LoadedModel, wanted: int) -> int:
    sizes = {spec.shape[0] for spec in model.inputs if spec.shape}
    return next((size for size in sizes if isinstance(size, int)), wanted) if len(sizes) == 1 else wanted


def outputs(model: LoadedModel, feeds: dict[str, np.ndarray], batch: int) -> list[np.ndarray]:
    size = batch_size(model, batch)
    runs = [model.run(batch) for batch in ArrayBatches(feeds)(size) if len(next(iter(batch.values()))) == size]
    return [np.concatenate([np.atleast_1d(array) for array in arrays]) for arrays in zip(*runs, strict=True)]


def sqnr_db(expected: list[np.ndarray], found: list[np.ndarray]) -> float:
    pairs = [
        (a.astype(np.float64), b.astype(np.float64)) for a, b in zip(expected, found, strict=True) if a.dtype != bool
    ]
    noise = sum(float(np.nansum((a - b) ** 2)) for a, b in pairs)
    signal = sum(float(np.nansum(a**2)) for a, _ in pairs)
    return float("inf") if noise == 0 else 10 * float(np.log10(signal / noise))


def speedup(before: Path, after: Path, feeds: dict[str, np.ndarray], given: argparse.Namespace) -> float:
    ratios = []
    for _ in range(given.loads):
        models = [load_model(path) for path in (before, after)]
        one = next(iter(ArrayBatches(feeds)(batch_size(models[0], given.batch))))
        times: list[list[float]] = [[], []]
        for model in models:
            model.run(one)
        for _ in range(BLOCKS):
            for which in random.sample(range(2), 2):
                times[which].append(block(models[which], one))
        ratios.append(statistics.median(a / b for a, b in zip(*times, strict=True)))
    return statistics.median(ratios)


def block(model: LoadedModel, feeds: dict[str, np.ndarray]) -> float:
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < BLOCK_S or not calls:
        model.run(feeds)
        calls += 1
    return (time.perf_counter() - started) / calls


if __name__ == "__main__":
    main()
