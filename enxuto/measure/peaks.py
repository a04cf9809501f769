"""What this machine can do at most, in the runtime that users have: the roof of a roofline.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", 2009; a roof for each level of
the caches as in Ilic, Pratas and Sousa, "Cache-aware roofline model", 2014.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.measure.bandwidth import measure_bandwidths
from enxuto.measure.noise import NoiseWatch
from enxuto.measure.probe import CoreProbe, floor_of, is_slow
from enxuto.runtimes import load_model
from enxuto.schema import Digest
from enxuto.settings import OnnxRuntimeSettings
from enxuto.steps import MeasurePeaks, Peaks

_HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
_MATRIX_SIDES = (256, 384, 512, 1024)
_IMAGES = ((64, 56), (128, 28), (256, 14))
"""Channels and side of what convolutions are tried on: the shapes of a ResNet."""
_TRIAL_S = 0.08
"""Of each product, in each round."""
_ROUNDS = 2
"""Far apart in time, so that somebody else on the core does not slow all of them."""
_MOST_WORK = 4
"""Threads share a product this many times as large, so that each has enough to do."""


def measure_peaks(step: MeasurePeaks, files: Mapping[Digest, Path], out: Path) -> Peaks:
    """The fastest of several products and shapes, each at its fastest call."""
    watch, probe = NoiseWatch.begin(), CoreProbe()
    probes = [probe()]
    with TemporaryDirectory(dir=out) as scratch:
        products = [each.load(Path(scratch), step.threads) for each in _products(min(step.threads, _MOST_WORK))]
    best = {True: 0.0, False: 0.0}
    for _ in range(_ROUNDS):
        for product in products:
            best[product.integer] = max(best[product.integer], product.operations / _fastest_s(product.call) / 1e9)
            probes.append(probe())
    memory_gb_s, cached = measure_bandwidths(step.threads)
    probes.append(probe())
    slow = [is_slow(each, floor_of(probes)) for each in probes]
    return Peaks(
        threads=step.threads,
        fp32_gflops=best[False],
        int8_gops=best[True],
        bandwidth_gb_s=memory_gb_s,
        cached=cached,
        noise=watch.end().model_copy(update={"disturbed_share": sum(slow) / len(slow)}),
    )


@dataclass(frozen=True)
class _Loaded:
    call: Callable[[], object]
    operations: int
    integer: bool


@dataclass(frozen=True)
class _Product:
    """A graph of one node."""

    text: str
    weights: Mapping[str, np.ndarray]
    feed: np.ndarray
    operations: int
    integer: bool

    def load(self, scratch: Path, threads: int) -> _Loaded:
        model = parse_model(f"{_HEADER}\n{self.text}")
        model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in self.weights.items())
        path = scratch / "product.onnx"
        onnx.save(model, path)
        session = load_model(path, OnnxRuntimeSettings(), threads)
        return _Loaded(partial(session.run, {"x": self.feed}), self.operations, self.integer)


def _products(size: int) -> Iterator[_Product]:
    draw = np.random.default_rng(0)
    for side in _MATRIX_SIDES:
        yield from _matrices(draw, side * size, side)
    for channels, side in _IMAGES:
        yield from _convolutions(draw, size, channels, side)


def _matrices(draw: np.random.Generator, rows: int, side: int) -> Iterator[_Product]:
    operations = 2 * rows * side * side
    floats, bytes_ = _floats(draw, rows, side), _bytes(draw, rows, side)
    text = "g ({0}[{1}, {2}] x) => ({3}[{1}, {2}] y) {{ y = {4} }}"
    yield _Product(
        text.format("float", rows, side, "float", "MatMul(x, w)"), {"w": _floats(draw, side, side)}, floats,
        operations, integer=False,
    )  # fmt: skip
    weights = {"w": _weights(draw, side, side)}
    yield _Product(
        text.format("uint8", rows, side, "int32", "MatMulInteger(x, w)"), weights, bytes_, operations, integer=True
    )
    yield _Product(
        text.format("uint8", rows, side, "uint8", "QLinearMatMul(x, s, z, w, s, zw, so, z)"), weights | _SCALES, bytes_,
        operations, integer=True,
    )  # fmt: skip


def _convolutions(draw: np.random.Generator, images: int, channels: int, side: int) -> Iterator[_Product]:
    shape, kernel = (images, channels, side, side), (channels, channels, 3, 3)
    operations = 2 * images * side * side * channels * channels * 9
    text = "g ({0}[{1}] x) => ({0}[{1}] y) {{ y = {2}<pads = [1, 1, 1, 1]>({3}) }}"
    axes = ", ".join(map(str, shape))
    yield _Product(
        text.format("float", axes, "Conv", "x, w"), {"w": _floats(draw, *kernel)}, _floats(draw, *shape), operations,
        integer=False,
    )  # fmt: skip
    yield _Product(
        text.format("uint8", axes, "QLinearConv", "x, s, z, w, s, zw, so, z"), {"w": _weights(draw, *kernel)} | _SCALES,
        _bytes(draw, *shape), operations, integer=True,
    )  # fmt: skip


_SCALES: dict[str, np.ndarray] = {
    "s": np.array(0.05, np.float32), "so": np.array(8.0, np.float32),
    "z": np.array(128, np.uint8), "zw": np.array(0, np.int8),
}  # fmt: skip


def _floats(draw: np.random.Generator, *shape: int) -> np.ndarray:
    return draw.standard_normal(shape).astype(np.float32)


def _bytes(draw: np.random.Generator, *shape: int) -> np.ndarray:
    return draw.integers(0, 256, shape, dtype=np.uint8)


def _weights(draw: np.random.Generator, *shape: int) -> np.ndarray:
    return draw.integers(-127, 128, shape, dtype=np.int8)


def _fastest_s(call: Callable[[], object]) -> float:
    clock, fastest = time.perf_counter, float("inf")
    call()
    until = clock() + _TRIAL_S
    while (begun := clock()) < until or fastest == float("inf"):
        call()
        fastest = min(fastest, clock() - begun)
    return fastest
