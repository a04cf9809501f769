"""From what was seen of a tensor to the range that its integers cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from enxuto.quantization.affine import Range
from enxuto.quantization.entropy import least_divergence
from enxuto.quantization.squared_error import least_squared_error
from enxuto.quantization.statistics import TensorStatistics

Method = Literal["minmax", "percentile", "entropy", "mse"]


@dataclass(frozen=True)
class RangeChoice:
    method: Method = "minmax"
    percentile: float = 99.99
    """Share of values, in percent, inside the range; half of the rest is cut off at either end."""

    @property
    def wants_histograms(self) -> bool:
        return self.method != "minmax"


def range_of(seen: TensorStatistics, choice: RangeChoice) -> Range | None:
    """Never wider than the values seen; None for a tensor that took values which are not finite, or none."""
    extremes = seen.range
    if extremes is None:
        return None
    histogram = seen.histogram
    match choice.method:
        case "minmax":
            return extremes
        case "percentile":
            tail = (100 - choice.percentile) / 200
            found = Range(histogram.quantile(tail), histogram.quantile(1 - tail))
        case "entropy":
            found = least_divergence(histogram)
        case "mse":
            found = least_squared_error(histogram, extremes)
    return Range(max(found.low, extremes.low), min(found.high, extremes.high))
