"""Padding is left out of the work, and outputs do not notice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.techniques import AnyTechnique, Work
from enxuto.techniques.dynamic_int8 import DynamicInt8
from enxuto.techniques.padding_removal import PaddingRemoval
from enxuto.techniques.transformer_fusion import TransformerFusion
from tests.support import tiny_transformers as tiny
from tests.support.batches import context, drift, outputs_of


def after(proto: ModelProto, folder: Path, *recipe: AnyTechnique) -> Work:
    work = Work(ir.from_proto(proto))
    for technique in recipe:
        work = apply_technique(technique, work, context(folder, tiny.feeds(proto, 8, 10)))
    onnx.checker.check_model(ir.to_proto(work.model))
    return work


MASKS = {
    "padded on the right": [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0]],
    "padded on the left": [[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]],
    "with holes": [[1, 0, 1, 0, 1, 0], [0, 0, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]],
    "without padding": [[1, 1, 1, 1, 1, 1]] * 3,
    "one token": [[1, 0, 0, 0, 0, 0]],
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("build", [tiny.dynamo, tiny.legacy], ids=["dynamo", "legacy"])
@pytest.mark.parametrize("within_batch", [True, False], ids=["packed", "trimmed"])
def test_outputs_stay_the_same(
    build: Callable[[], ModelProto], mask: list[list[int]], within_batch: bool, tmp_path: Path
) -> None:
    proto = build()
    done = after(proto, tmp_path, TransformerFusion(), PaddingRemoval(within_batch=within_batch))
    given = {**tiny.feeds(proto, len(mask), 6), "mask": np.array(mask)}
    assert drift(outputs_of(proto, given), outputs_of(done.model, given)) < 1e-5


def rows_of_products(model: ir.Model, given: dict[str, np.ndarray]) -> set[int]:
    """How many rows each matrix product with a constant weight has, all axes but the last taken together."""
    proto = ir.to_proto(model)
    weights = {tensor.name for tensor in proto.graph.initializer}
    names = [node.output[0] for node in proto.graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    return {array.size // array.shape[-1] for array in outputs_of(proto, given)}


def test_columns_that_are_padding_everywhere_are_not_computed(tmp_path: Path) -> None:
    proto = tiny.legacy()
    done = after(proto, tmp_path, PaddingRemoval())
    given = {**tiny.feeds(proto, 3, 6), "mask": np.array(MASKS["padded on the right"])}
    assert rows_of_products(done.model, given) == {3 * 4}
    assert "no part of the model was recognised" in done.notes[-1]


def test_behind_a_fusion_tokens_alone_are_computed(tmp_path: Path) -> None:
    proto = tiny.legacy()
    done = after(proto, tmp_path, TransformerFusion(), PaddingRemoval())
    given = {**tiny.feeds(proto, 3, 6), "mask": np.array(MASKS["padded on the right"])}
    assert rows_of_products(done.model, given) == {3 + 4 + 1}


def test_a_sample_of_nothing_but_padding_harms_no_other(tmp_path: Path) -> None:
    proto = tiny.legacy()
    done = after(proto, tmp_path, TransformerFusion(), PaddingRemoval())
    given = {**tiny.feeds(proto, 2, 6), "mask": np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])}
    expected, found = outputs_of(proto, given)[0], outputs_of(done.model, given)[0]
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)


LAST_BY_COUNT = """
    count = ReduceSum<keepdims = 1>(mask, one_1)
    last_place = Sub(count, one_1)
    width_of = Shape<start = 1, end = 2>(mask)
    length = Squeeze(width_of)
    place = Range(zero_int, length, one_int)
    is_last = Equal(place, last_place)
    chosen = Cast<to = 1>(is_last)
    chosen_wide = Unsqueeze(chosen, two)
    picked = Mul(last, chosen_wide)
    y = ReduceSum<keepdims = 0>(picked, one_1)
"""


def test_where_a_padded_token_may_be_read_tokens_stay_where_they_are(tmp_path: Path) -> None:
    proto = tiny.bert(after=LAST_BY_COUNT)
    done = after(proto, tmp_path, TransformerFusion(), PaddingRemoval())
    for mask in MASKS.values():
        given = {**tiny.feeds(proto, len(mask), 6), "mask": np.array(mask)}
        assert drift(outputs_of(proto, given), outputs_of(done.model, given)) < 1e-5


def test_int8_follows_it(tmp_path: Path) -> None:
    proto = tiny.legacy()
    done = after(proto, tmp_path, TransformerFusion(), PaddingRemoval(), DynamicInt8())
    given = tiny.feeds(proto, 5, 9)
    assert drift(outputs_of(proto, given), outputs_of(done.model, given)) < 0.2
    operators = Counter(node.op_type for node in done.model.graph)
    assert operators["MatMulInteger"] == 6


REFUSED = {
    "a mean that counts padding": tiny.bert(after="y = ReduceMean<axes = [1], keepdims = 0>(last)"),
    "an output for every token": tiny.bert(after="y = Tanh(last)", out="float[batch, sequence, 16] y"),
    "no mask": tiny.causal(),
}


@pytest.mark.parametrize("proto", REFUSED.values(), ids=REFUSED)
def test_where_outputs_would_notice_it_refuses(proto: ModelProto, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable) as refusal:
        after(proto, tmp_path, PaddingRemoval())
    assert refusal.value.code == "no_padding_mask"
