"""microsoft/onnxruntime: thresholds that its calibrator finds by entropy and by percentile."""

from __future__ import annotations

import numpy as np
from answer import Arrays, main
from onnxruntime.quantization.calibrate import HistogramCollector


def ranges(given: Arrays, _: object) -> Arrays:
    names = [name for name in given if not name.startswith("|")]
    return {
        f"{name}|{method}": _range(given[name], method, given) for name in names for method in ("entropy", "percentile")
    }


def _range(array: np.ndarray, method: str, given: Arrays) -> np.ndarray:
    collector = HistogramCollector(
        method=method, symmetric=False, num_bins=int(given["|bins"]), num_quantized_bins=128,
        percentile=float(given["|percentile"]), scenario="same",
    )  # fmt: skip
    collector.collect({"x": [array]})
    low, high, *_ = collector.compute_collection_result()["x"]
    return np.array([low, high], dtype=np.float64).reshape(2)


main(ranges)
