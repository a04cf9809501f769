from __future__ import annotations

import onnx_ir as ir

from enxuto.graph.edit import Editor
from tests.support import tiny_models


def test_no_name_is_given_twice_however_often_it_is_wanted() -> None:
    editor = Editor(ir.from_proto(tiny_models.mlp()).graph)
    wanted = ["h", "new", "new_3", "new", "new", "new_3", "new"]
    given = [editor.free_name(name) for name in wanted]
    assert given == ["h_2", "new", "new_3", "new_2", "new_4", "new_3_2", "new_5"]
