"""Attention whose sequence comes first, with queries, keys and values in one product: as torch's own layers are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.techniques import TransformerFusion, Work
from tests.support import sequence_first as tiny
from tests.support.batches import context, outputs_of

SIZES = ((1, 1), (3, 7), (2, 12))
WRITTEN = {
    "by the newer exporter": {"opset": 18},
    "by the older exporter": {"widths": tiny.COMPUTED_WIDTHS},
    "with a mask of padding": {"mask": tiny.PADDED, "widths": tiny.COMPUTED_WIDTHS},
}


def fused(proto: ModelProto, folder: Path) -> ModelProto:
    done = apply_technique(TransformerFusion(), Work(ir.from_proto(proto)), context(folder))
    found = ir.to_proto(done.model)
    onnx.checker.check_model(found)
    return found


def operators(proto: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


def require_same(before: ModelProto, after: ModelProto) -> None:
    for size in SIZES:
        given = tiny.feeds(before, *size)
        for expected, found in zip(outputs_of(before, given), outputs_of(after, given), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("given", WRITTEN.values(), ids=WRITTEN)
def test_it_becomes_one_operator_and_nothing_is_turned_any_more(given: dict[str, str | int], tmp_path: Path) -> None:
    proto = tiny.attention(**given)  # type: ignore[arg-type]
    found = fused(proto, tmp_path)
    counts = operators(found)
    wanted = {"MatMul": 2, "Add": 3, "Split": 1, "MultiHeadAttention": 1}
    assert counts == (wanted | {"Cast": 1} if "mask" in given else wanted)
    require_same(proto, found)


def test_two_turns_without_anything_between_them_go(tmp_path: Path) -> None:
    """As a model has them that turns what a layer turned already."""
    extra = "turned_back = Transpose<perm = [1, 0, 2]>(y)\n p = Transpose<perm = [1, 0, 2]>(turned_back)"
    proto = tiny.attention(extra=extra, opset=18)
    found = fused(proto, tmp_path)
    assert operators(found)["MultiHeadAttention"] == 1
    assert operators(found)["Transpose"] == 0
    require_same(proto, found)


def test_parts_that_lie_among_each_other_are_left(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable):
        fused(tiny.attention(picked=tiny.INTERLEAVED), tmp_path)


def test_a_product_that_is_read_elsewhere_is_still_turned(tmp_path: Path) -> None:
    proto = tiny.attention(extra="p = Identity(out)")
    found = fused(proto, tmp_path)
    assert operators(found)["MultiHeadAttention"] == 1
    require_same(proto, found)


def test_an_output_of_another_length_is_left_turned(tmp_path: Path) -> None:
    """The last shape puts the batch first, and the transposition behind it mixes samples: not what it looks like."""
    proto = tiny.attention()
    (shape,) = (node for node in proto.graph.node if node.output[0] == "out_shape")
    shape.input[0] = "swapped"
    (lead,) = (node for node in proto.graph.node if node.output[0] == "lead")
    swapped = onnx.helper.make_node("Concat", ["samples", "length"], ["swapped"], axis=0)
    nodes = list(proto.graph.node)
    position = nodes.index(shape)
    (last,) = (node for node in nodes if node.output[0] == "y")
    last.CopyFrom(onnx.helper.make_node("Tanh", ["again"], ["y"]))
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes[:position], swapped, *nodes[position:]])
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "sequence"
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "batch"
    assert lead
    require_same(proto, fused(proto, tmp_path))
