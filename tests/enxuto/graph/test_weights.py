"""Where weights are, whatever stands between them and the node that computes."""

from __future__ import annotations

import onnx_ir as ir
from onnx.parser import parse_model

from enxuto.graph.weights import initializers_behind


def test_what_is_joined_with_itself_again_and_again_is_looked_at_once() -> None:
    joins = "\n".join(f"c{level + 1} = Concat<axis = 0>(c{level}, c{level})" for level in range(40))
    model = ir.from_proto(
        parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        joined (float[n] x) => (float[m] y) <float[1] c0 = {{1.0}}> {{
            {joins}
            y = Mul(x, c40)
        }}""")
    )
    product = list(model.graph)[-1]
    assert [weight.name for weight in initializers_behind(product.inputs[1])] == ["c0"]
