"""Where weights are, whatever stands between them and the node that computes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.graph.weights import computed_array, initializers_behind


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


@pytest.mark.parametrize(
    ("attributes", "shape", "expected"),
    [
        ("", [6, 4], (6, 4)),
        ("", [0, -1], (2, 12)),
        ("", [-1, 0, 1, 4], (2, 3, 1, 4)),
        ("<allowzero = 1>", [6, -1], (6, 4)),
        ("<allowzero = 1>", [0, 24], None),
        ("", [0, 0, 0, 0], None),
        ("", [5, -1], None),
    ],
)
def test_a_weight_is_read_in_the_shape_that_it_is_brought_to(
    attributes: str, shape: list[int], expected: tuple[int, ...] | None
) -> None:
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        brought (float[n] x) => (float[m] y) {{
            made = Reshape{attributes}(w, shape)
            y = Mul(x, made)
        }}""")
    weight = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for name, array in {"w": weight, "shape": np.array(shape)}.items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    found = computed_array(list(ir.from_proto(proto).graph)[-1].inputs[1])
    if expected is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, weight.reshape(expected))
