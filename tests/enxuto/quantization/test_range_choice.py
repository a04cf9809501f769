"""Ranges read from a histogram, against onnxruntime's calibrator and against looking at every value."""

from __future__ import annotations

import numpy as np
import pytest
from onnxruntime.quantization.calibrate import HistogramCollector

from enxuto.quantization.affine import Range, for_range
from enxuto.quantization.entropy import divergence
from enxuto.quantization.histogram import Histogram
from enxuto.quantization.observe import Observer
from enxuto.quantization.range_choice import Method, RangeChoice, range_of
from enxuto.quantization.statistics import TensorStatistics


def values(kind: str) -> np.ndarray:
    random = np.random.default_rng(7)
    match kind:
        case "rectified":
            return np.maximum(random.normal(0, 1, 60_000), 0).astype(np.float32)
        case "outliers":
            return np.concatenate([random.normal(0, 1, 60_000), [40.0, -25.0]]).astype(np.float32)
        case _:
            return random.laplace(0.3, 1, 60_000).astype(np.float32)


def seen(array: np.ndarray) -> TensorStatistics:
    observer = Observer(-1)
    for batch in np.array_split(array, 7):
        observer.add(batch)
    return observer.result()


def found(array: np.ndarray, method: Method) -> Range:
    choice = range_of(seen(array), RangeChoice(method, 99.9))
    assert choice is not None
    return choice


@pytest.mark.parametrize("kind", ["rectified", "outliers", "long tails"])
def test_entropy_is_onnxruntimes_with_as_many_bins(kind: str) -> None:
    array = values(kind)
    collector = HistogramCollector(
        method="entropy", symmetric=False, num_bins=2048, num_quantized_bins=128, percentile=99.99, scenario="same"
    )
    collector.collect({"x": [array]})
    counts, edges, *_ = collector.histogram_dict["x"]
    low, high, *_ = collector.compute_collection_result()["x"]
    reaches = range(64, 1025)
    best = min(reaches, key=lambda reach: divergence(counts, reach))
    theirs = int(np.abs(edges - high).argmin()) - 1024 - 1
    assert divergence(counts, theirs) == pytest.approx(divergence(counts, best), rel=1e-4), "they sum up in float32"
    ours = found(array, "entropy")
    chosen = round(ours.high / (edges[1] - edges[0]))
    worst = max(divergence(counts, reach) for reach in reaches)
    spread = worst - divergence(counts, best)
    assert divergence(counts, min(chosen, 1024)) <= divergence(counts, best) + 0.1 * spread
    assert low <= 0 <= high


def squared_error(array: np.ndarray, kept: Range) -> float:
    affine = for_range(kept, "uint8")
    back = (affine.quantize(array).astype(np.float64) - affine.zero_point) * affine.scale
    return float(np.square(back - array).mean())


@pytest.mark.parametrize("kind", ["rectified", "outliers", "long tails"])
def test_the_range_of_least_squared_error_is_that_of_trying_all(kind: str) -> None:
    array = values(kind)
    low, high = float(array.min()), float(array.max())
    tried = [
        squared_error(array, Range(low * a, high * b))
        for a in np.linspace(0.05, 1, 30)
        for b in np.linspace(0.05, 1, 30)
    ]
    assert squared_error(array, found(array, "mse")) <= 1.05 * min(tried)


OF_PYTORCH = {
    "rectified": Range(0.0, 3.7462767),
    "outliers": Range(-24.968194, 40.000066),
    "long tails": Range(-9.7714700, 8.8234915),
}
"""``HistogramObserver(dtype=torch.quint8, qscheme=torch.per_tensor_affine)`` of torch 2.15, fed the same seven parts:
lowest and highest of the 256 levels that it chose. Three tensors of a real resnet20: ``python -m bench.references``."""


@pytest.mark.parametrize("kind", OF_PYTORCH)
def test_the_range_of_least_squared_error_loses_no_more_than_pytorchs(kind: str) -> None:
    array = values(kind)
    theirs = squared_error(array, OF_PYTORCH[kind])
    assert squared_error(array, found(array, "mse")) <= 1.01 * theirs


def test_outliers_are_cut_off_where_there_are_few() -> None:
    array = values("outliers")
    assert found(array, "minmax") == Range(-25.0, 40.0)
    for method in ("percentile", "entropy"):
        assert found(array, method).high < 20


def test_no_range_is_wider_than_what_was_seen() -> None:
    for method in ("percentile", "entropy", "mse"):
        kept = found(np.linspace(0.5, 0.75, 5000).astype(np.float32), method)
        assert kept.low >= 0
        assert kept.high <= 0.75


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy", "mse"])
def test_a_tensor_of_zeros_has_a_range_of_zeros(method: Method) -> None:
    assert found(np.zeros(100, dtype=np.float32), method) == Range(0.0, 0.0)


def test_a_histogram_that_came_from_a_file_goes_on_where_it_was() -> None:
    array = values("outliers")
    one = seen(array).histogram
    again = Histogram(one.width, one.counts)
    assert again.quantile(0.37) == one.quantile(0.37)
