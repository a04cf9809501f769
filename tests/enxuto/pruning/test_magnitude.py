from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from enxuto.errors import NotApplicable
from enxuto.graph.normalize import normalized
from enxuto.graph.weights import array_of
from enxuto.pruning.magnitude import prunable, prune, smallest
from enxuto.techniques import Work
from enxuto.techniques.magnitude_pruning import MagnitudePruning
from tests.support import tiny_models
from tests.support.batches import context

FEW_VALUES = st.sampled_from([-2, -1, -0.5, 0, 0.5, 1, 3])
"""So that many magnitudes are equal."""
SHAPES = hnp.array_shapes(max_dims=3, max_side=6)
ARRAYS = st.lists(hnp.arrays(np.float32, SHAPES, elements=FEW_VALUES), min_size=1, max_size=4)


@given(arrays=ARRAYS, ratio=st.floats(0, 0.99))
def test_exactly_the_asked_share_is_chosen_ties_included(arrays: list[np.ndarray], ratio: float) -> None:
    masks = smallest(arrays, ratio)
    total = sum(array.size for array in arrays)
    assert sum(int(mask.sum()) for mask in masks) == round(ratio * total)
    assert [mask.shape for mask in masks] == [array.shape for array in arrays]


@given(arrays=ARRAYS, ratio=st.floats(0, 0.99))
def test_nothing_that_stays_is_smaller_than_what_goes(arrays: list[np.ndarray], ratio: float) -> None:
    masks = smallest(arrays, ratio)
    gone = [abs(value) for mask, array in zip(masks, arrays, strict=True) for value in array[mask]]
    left = [abs(value) for mask, array in zip(masks, arrays, strict=True) for value in array[~mask]]
    assert not gone or not left or max(gone) <= min(left)


def test_nan_is_never_chosen_before_a_number() -> None:
    (mask,) = smallest([np.array([np.nan, 3, 1, 2], dtype=np.float32)], 0.5)
    assert mask.tolist() == [False, False, True, True]


def test_the_ratio_holds_in_every_layer_or_in_all_of_them() -> None:
    proto = tiny_models.mlp()
    each, together = normalized(ir.from_proto(proto)), normalized(ir.from_proto(proto))
    prune(each, ratio=0.5, threshold=None, scope="layer")
    done = prune(together, ratio=0.5, threshold=None, scope="global")
    shares = [np.mean(array_of(value) == 0) for value in prunable(each)]
    assert shares == [0.5, 0.5]
    assert (done.zeros, done.weights) == (320, 640)
    assert [np.mean(array_of(value) == 0) for value in prunable(together)] != [0.5, 0.5]


def test_a_threshold_spares_what_reaches_it() -> None:
    model = normalized(ir.from_proto(tiny_models.mlp()))
    before = [array_of(value).copy() for value in prunable(model)]
    prune(model, ratio=None, threshold=0.1, scope="global")
    for value, array in zip(prunable(model), before, strict=True):
        np.testing.assert_array_equal(array_of(value), np.where(np.abs(array) < 0.1, 0, array))


def test_biases_norms_and_embeddings_stay() -> None:
    names = {value.name for value in prunable(normalized(ir.from_proto(tiny_models.convnet())))}
    assert names == {"conv1_weight", "conv2_weight", "head_weight"}
    language = normalized(ir.from_proto(tiny_models.tokens()))
    assert "embedding" not in {value.name for value in prunable(language)}
    assert "embedding" in {value.name for value in prunable(language, embeddings=True)}


@pytest.mark.parametrize("given", [{}, {"ratio": 0.5, "threshold": 0.1}])
def test_ratio_and_threshold_exclude_each_other(given: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        MagnitudePruning(**given)


def test_pruning_what_is_pruned_already_is_refused(tmp_path: Path) -> None:
    half = MagnitudePruning(ratio=0.5)
    work = half.apply(Work(ir.from_proto(tiny_models.mlp())), context(tmp_path))
    assert "save no time" in work.notes[0]
    with pytest.raises(NotApplicable, match="zero already"):
        half.apply(work, context(tmp_path))
