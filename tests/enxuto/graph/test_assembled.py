"""Weights that are cut up and joined again are read as they arrive."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.graph.assembled import assembled_array
from enxuto.graph.normalize import normalized

WEIGHT = np.arange(24, dtype=np.float32).reshape(6, 4)
SWAPPED = """
    first = Slice(w, at0, at2, at0)
    rest = Slice(w, at2, at6, at0)
    joined = Concat<axis = 0>(rest, first)
    made = Unsqueeze(joined, at0)
"""
DOUBLED = "twice = Concat<axis = 0>(w, w)\n made = Unsqueeze(twice, at0)"
FED = "moved = Add(w, x)\n made = Unsqueeze(moved, at0)"
BACKWARDS = "turned = Slice(w, at6, at0, at0, back)\n made = Unsqueeze(turned, at0)"


def made(text: str) -> np.ndarray | None:
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        weights (float[6, 4] x) => (float[1, a, 4] y) {{
            {text}
            y = Mul(made, one)
        }}""")
    numbers = {"at0": [0], "at2": [2], "at6": [6], "back": [-1]}
    arrays = {name: np.array(one, dtype=np.int64) for name, one in numbers.items()}
    arrays |= {"w": WEIGHT, "one": np.ones(1, dtype=np.float32)}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    model = normalized(ir.from_proto(proto))
    return assembled_array(list(model.graph)[-1].inputs[0])


def test_gates_in_another_order_are_read_in_it() -> None:
    np.testing.assert_array_equal(made(SWAPPED), np.concatenate([WEIGHT[2:], WEIGHT[:2]])[None])


@pytest.mark.parametrize("text", [DOUBLED, FED, BACKWARDS], ids=["more than there is", "fed", "backwards"])
def test_what_is_no_rearrangement_of_weights_is_none(text: str) -> None:
    assert made(text) is None
