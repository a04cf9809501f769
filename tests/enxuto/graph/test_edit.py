from __future__ import annotations

import onnx_ir as ir
from onnx.parser import parse_model

from enxuto.graph.edit import Editor, drop_identities
from tests.support import tiny_models


def test_no_name_is_given_twice_however_often_it_is_wanted() -> None:
    editor = Editor(ir.from_proto(tiny_models.mlp()).graph)
    wanted = ["h", "new", "new_3", "new", "new", "new_3", "new"]
    given = [editor.free_name(name) for name in wanted]
    assert given == ["h_2", "new", "new_3", "new_2", "new_4", "new_3_2", "new_5"]


def test_identities_go_but_for_what_is_handed_out_under_its_own_name() -> None:
    graph = ir.from_proto(
        parse_model("""
            <ir_version: 8, opset_import: ["" : 17]>
            names (float[batch] x) => (float[batch] y, float[batch] again) {
                same = Identity(x)
                still = Identity(same)
                y = Relu(still)
                again = Identity(y)
            }""")
    ).graph
    drop_identities(graph)
    assert [(node.op_type, [value.name for value in node.inputs if value]) for node in graph] == [
        ("Relu", ["x"]),
        ("Identity", ["y"]),
    ]
    assert [value.name for value in graph.outputs] == ["y", "again"]
