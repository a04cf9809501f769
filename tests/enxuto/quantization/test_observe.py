from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enxuto.quantization.observe import Histogram, MinMax


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_percentiles_of_a_stream_are_those_of_all_values(percentile: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    batches = [random.normal(1, scale, 5000).astype(np.float32) for scale in (0.01, 1, 30, 2)]
    histogram = Histogram(percentile)
    for batch in batches:
        histogram.add(batch)
    found = histogram.range()
    assert found is not None
    everything = np.sort(np.concatenate(batches))
    bin_width = np.abs(everything).max() / 1024
    for share, value in (((100 - percentile) / 200, found.low), ((100 + percentile) / 200, found.high)):
        rank = share * (len(everything) - 1)
        below = everything[max(int(np.floor(rank)) - 1, 0)]
        above = everything[min(int(np.ceil(rank)) + 1, len(everything) - 1)]
        assert below - bin_width <= value <= above + bin_width
        assert below <= np.percentile(everything, 100 * share) <= above, "numpy agrees on what is looked for"


@example([[2.0**-149]])
@given(st.lists(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), max_size=20), min_size=1, max_size=6))
def test_no_value_is_lost_however_the_range_grows(batches: list[list[float]]) -> None:
    histogram = Histogram(100)
    for batch in batches:
        histogram.add(np.array(batch, dtype=np.float32))
    everything = [value for batch in batches for value in batch]
    found = histogram.range()
    if not everything:
        assert found is None
        return
    assert found is not None
    assert found.low == min(everything)
    assert found.high == max(everything)


def test_zeros_before_the_first_value_count() -> None:
    histogram = Histogram(90)
    histogram.add(np.zeros(990, dtype=np.float32))
    histogram.add(np.full(10, 8, dtype=np.float32))
    found = histogram.range()
    assert found is not None
    assert found.high < 0.1, "95 % of the values are zero"


@pytest.mark.parametrize("observer", [MinMax(), Histogram(99)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_tensor_that_is_not_finite_has_no_range(observer: MinMax | Histogram, bad: float) -> None:
    observer.add(np.array([1.0, bad, 2.0], dtype=np.float32))
    observer.add(np.array([1.0, 2.0], dtype=np.float32))
    assert observer.range() is None
