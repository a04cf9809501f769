"""What is remembered of a stream against numpy on all its values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enxuto.quantization.affine import Range
from enxuto.quantization.observe import Observer
from enxuto.quantization.range_choice import RangeChoice, range_of


def seen(*batches: np.ndarray, axis: int = -1, percentile: float = 100.0) -> Range | None:
    observer = Observer(axis)
    for batch in batches:
        observer.add(batch)
    return range_of(observer.result(), RangeChoice("percentile", percentile))


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_percentiles_of_a_stream_are_those_of_all_values(percentile: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    batches = [random.normal(1, scale, 5000).astype(np.float32) for scale in (0.01, 1, 30, 2)]
    found = seen(*batches, percentile=percentile)
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
    found = seen(*(np.array(batch, dtype=np.float32) for batch in batches))
    everything = [value for batch in batches for value in batch]
    assert found == (Range(min(everything), max(everything)) if everything else None)


def test_zeros_before_the_first_value_count() -> None:
    found = seen(np.zeros(990, dtype=np.float32), np.full(10, 8, dtype=np.float32), percentile=90)
    assert found is not None
    assert found.high < 0.1, "95 % of the values are zero"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_tensor_that_is_not_finite_has_no_range_but_figures_of_the_rest(bad: float) -> None:
    observer = Observer(-1)
    observer.add(np.array([1.0, bad, 2.0], dtype=np.float32))
    observer.add(np.array([1.0, 3.0], dtype=np.float32))
    found = observer.result()
    assert found.range is None
    assert (found.not_finite, found.extremes) == (1, Range(1.0, 3.0))
    assert found.histogram.counts.sum() == 4


@pytest.mark.parametrize(("shape", "axis", "others"), [
    ((3, 5, 4, 4), 1, (0, 2, 3)), ((3, 5, 6), 1, (0, 2)), ((3, 7, 5), -1, (0, 1)), ((9, 5), 1, (0,)), ((4,), 1, ()),
])  # fmt: skip
def test_figures_of_each_channel_are_numpys(shape: tuple[int, ...], axis: int, others: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    batches = [random.normal(2, 3, shape).astype(np.float32) for _ in range(3)]
    observer = Observer(axis)
    for batch in batches:
        observer.add(batch)
    found = observer.result().channels
    everything = np.concatenate(batches)
    others = others or (0,)
    assert found is not None
    np.testing.assert_array_equal(found.low, everything.min(axis=others))
    np.testing.assert_array_equal(found.high, everything.max(axis=others))
    np.testing.assert_array_equal(found.peak, np.abs(everything).max(axis=others))
    np.testing.assert_allclose(found.mean, everything.mean(axis=others, dtype=np.float64), rtol=1e-5)


def test_a_large_tensor_is_counted_in_part_with_no_channel_passed_over() -> None:
    values = np.zeros((4, 64, 32, 32), dtype=np.float32)
    values += np.arange(1, 65, dtype=np.float32).reshape(1, 64, 1, 1)
    observer = Observer(1)
    observer.add(values)
    counts = observer.result().histogram.counts
    taken = counts[counts > 0]
    assert len(taken) == 64
    assert taken.sum() < values.size / 2
    assert taken.max() <= 1.05 * taken.min(), "each channel has its share"


def test_channels_that_change_in_number_have_no_figures() -> None:
    observer = Observer(-1)
    observer.add(np.ones((2, 3), dtype=np.float32))
    observer.add(np.full((2, 4), 5, dtype=np.float32))
    found = observer.result()
    assert found.channels is None
    assert found.range == Range(1.0, 5.0)
