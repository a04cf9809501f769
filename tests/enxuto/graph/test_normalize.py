from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx.parser import parse_model

from enxuto.graph.normalize import normalized
from enxuto.graph.prove import signature
from enxuto.graph.weights import computed_array, input_of, weight_uses
from tests.support import tiny_models

CONSTANTS = """
    <ir_version: 3, opset_import: ["" : 9]>
    old (float[-1, 3] x, float[2, 3] w) => (float[-1, 2] y)
    <float[2, 3] w = {1, 2, 3, 4, 5, 6}>
    {
        same = Identity(w)
        turned = Transpose<perm = [1, 0]>(same)
        product = MatMul(x, turned)
        bias = Constant<value = float[2] {7, 8}>()
        y = Add(product, bias)
    }
"""


def test_weights_are_initializers_and_no_inputs() -> None:
    model = normalized(ir.from_proto(parse_model(CONSTANTS)))
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert set(model.graph.initializers) == {"w", "bias"}
    assert model.ir_version >= 4
    onnx.checker.check_model(ir.to_proto(model))


def test_the_signature_counts_no_weights_and_knows_no_negative_axis() -> None:
    model = ir.from_proto(parse_model(CONSTANTS))
    assert signature(model) == ["input 'x' FLOAT[?, 3]", "output 'y' FLOAT[?, 2]"]
    assert signature(normalized(model)) == signature(model)


def test_a_weight_is_found_behind_what_only_rearranges_it() -> None:
    model = normalized(ir.from_proto(parse_model(CONSTANTS)))
    (use,) = weight_uses(model.graph)
    assert (use.node.op_type, use.weight.name) == ("MatMul", "w")
    array = computed_array(input_of(use.node, 1))
    assert array is not None
    assert array.tolist() == [[1, 4], [2, 5], [3, 6]]


def test_every_node_gets_a_name_of_its_own() -> None:
    names = [node.name for node in normalized(ir.from_proto(tiny_models.convnet())).graph]
    assert all(names)
    assert len(set(names)) == len(names)


def test_the_models_own_metadata_stays_and_the_exporters_goes() -> None:
    proto = tiny_models.mlp()
    proto.metadata_props.add(key="names", value="cat,dog")
    proto.graph.node[0].doc_string = "File train.py, line 12"
    found = ir.to_proto(normalized(ir.from_proto(proto)))
    assert [(entry.key, entry.value) for entry in found.metadata_props] == [("names", "cat,dog")]
    assert not found.graph.node[0].doc_string
