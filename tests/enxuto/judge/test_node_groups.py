"""Nodes of two models are matched by the work that they do."""

from __future__ import annotations

import pytest

from enxuto.judge.node_groups import family, group_nodes, matched
from enxuto.judge.roofline import place
from enxuto.report import MatchedGroup
from enxuto.steps import NodeProfile


def ran(op_type: str, *origin: str, name: str = "", ms: float = 1.0, tensor: str | None = None) -> NodeProfile:
    return NodeProfile(
        name=name or (origin[0] if origin else op_type), op_type=op_type, origin=list(origin), tensor=tensor, ms=ms,
        output_bytes=None, moved_bytes=None, weight_bytes=None, precision=None,
        operations=10 if "Conv" in op_type or "MatMul" in op_type else 0,
    )  # fmt: skip


def groups(nodes: list[NodeProfile], against: list[NodeProfile]) -> list[MatchedGroup]:
    mine, theirs = group_nodes(nodes, against)
    return matched(place(nodes, mine, None), place(against, theirs, None))


def test_one_fused_node_stands_against_what_it_was_made_of() -> None:
    quantized = [ran("QLinearConv", "conv", "relu", ms=2.0), ran("QLinearAdd", "add", ms=1.0)]
    plain = [ran("nchwc.Conv", "conv", "add", "relu", ms=9.0)]
    (group,) = groups(quantized, plain)
    assert (group.group, group.ms, group.against_ms, group.speedup) == ("conv", 3.0, 9.0, 3.0)
    assert (group.op_types, group.against_op_types) == (["QLinearConv", "QLinearAdd"], ["nchwc.Conv"])


def test_names_that_a_quantizer_made_longer_still_match() -> None:
    (group,) = groups([ran("DynamicQuantizeMatMul", "/up/MatMul_quant")], [ran("MatMul", "/up/MatMul")])
    assert group.group == "/up/MatMul"


def test_exports_with_other_node_names_match_by_the_tensors_they_make() -> None:
    both = groups([ran("QLinearConv", "n7", tensor="act_1_uint8")], [ran("Conv", "Conv_7", tensor="act_1")])
    assert len(both) == 1


def test_what_a_runtime_made_and_numbered_matches_in_its_order() -> None:
    nodes = [ran("RNNSeq", name="GRUSequence_6937", ms=7.0), ran("RNNSeq", name="GRUSequence_7069", ms=8.0)]
    against = [ran("RNNSeq", name="GRUSequence_6787", ms=1.0), ran("RNNSeq", name="GRUSequence_6921", ms=2.0)]
    assert {(one.ms, one.against_ms) for one in groups(nodes, against)} == {(7.0, 1.0), (8.0, 2.0)}
    apart = {(one.ms, one.against_ms) for one in groups(nodes, against[:1])}
    assert apart == {(7.0, None), (8.0, None), (None, 1.0)}


def test_helpers_of_the_runtime_form_groups_of_their_own() -> None:
    nodes = [ran("QuantizeLinear", "QuantizeLinear_41"), ran("QLinearConv", "conv"), ran("QuantizeLinear")]
    against = [ran("ReorderInput"), ran("nchwc.Conv", "conv"), ran("ReorderInput")]
    found = {group.group: (group.ms, group.against_ms) for group in groups(nodes, against)}
    assert found == {"QuantizeLinear": (2.0, None), "conv": (1.0, 1.0), "ReorderInput": (None, 2.0)}


def test_numbered_quantizations_of_two_files_are_no_match() -> None:
    nodes = [ran("QLinearConv", "conv1", "QuantizeLinear_9"), ran("QLinearConv", "conv2", "QuantizeLinear_11")]
    against = [ran("QLinearConv", "conv1", "QuantizeLinear_7"), ran("QLinearConv", "conv2", "QuantizeLinear_9")]
    assert {group.group for group in groups(nodes, against)} == {"conv1", "conv2"}


def test_a_transposition_of_the_file_matches_and_one_of_the_runtime_does_not() -> None:
    nodes = [ran("Transpose", "to_heads"), ran("Transpose", name="Transpose_token_3")]
    found = {group.group: group.against_ms for group in groups(nodes, [ran("Transpose", "to_heads")])}
    assert found == {"to_heads": 1.0, "Transpose": None}


def test_groups_together_are_all_of_the_time() -> None:
    nodes = [ran("QLinearConv", "a", "b"), ran("Mystery", name="m", ms=0.5), ran("QuantizeLinear")]
    against = [ran("Conv", "a"), ran("Add", "b"), ran("Softmax", "only_here", ms=4.0)]
    found = groups(nodes, against)
    assert sum(group.ms or 0 for group in found) == 2.5
    assert sum(group.against_ms or 0 for group in found) == 6.0
    assert found[0].group == "only_here"  # the largest difference


def test_one_model_alone_has_a_name_for_every_node() -> None:
    mine, none = group_nodes([ran("Conv", "conv", "relu"), ran("ReorderOutput")], [])
    assert (mine, none) == (["conv", "ReorderOutput"], [])


@pytest.mark.parametrize(
    ("op_type", "name"),
    [
        ("nchwc.Conv", "Conv"), ("QLinearConv", "Conv"), ("FusedConv", "Conv"), ("Convolution", "Conv"),
        ("ConvTranspose", "ConvTranspose"), ("MatMulIntegerToFloat", "MatMul"), ("FullyConnected", "MatMul"),
        ("QLinearAdd", "Add"), ("Softmax", "Softmax"), ("DynamicQuantizeLSTM", "LSTM"),
    ],
)  # fmt: skip
def test_operators_of_one_family_compute_the_same(op_type: str, name: str) -> None:
    assert family(op_type) == name
