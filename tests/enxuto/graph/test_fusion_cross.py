"""Attention of one sequence to another, as in decoders: fused with the mask of the one that is looked at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.techniques import TransformerFusion, Work
from tests.support.batches import context, outputs_of

MASKED = """
    hidden = Equal(mask, zero_int)
    row = Where(hidden, minus_inf, zero)
    bias = Unsqueeze(row, at12)
    masked = Add(scaled, bias)
"""
PLAIN = "masked = Identity(scaled)"


def cross(*, mask: str = PLAIN, values: str = "memory") -> ModelProto:
    heads = "\n".join(
        f"{one}_raw = MatMul({data}, w{one})\n {one}_split = Reshape({one}_raw, split)\n"
        f"{one}4 = Transpose<perm = [0, 2, 1, 3]>({one}_split)"
        for one, data in (("q", "x"), ("k", "memory"), ("v", values))
    )
    masks = ", int64[batch, keys] mask" if mask is MASKED else ""
    more = ", float[batch, keys, 16] other" if values == "other" else ""
    proto = parse_model(f"""
    <ir_version: 8, opset_import: ["" : 17]>
    cross (float[batch, queries, 16] x, float[batch, keys, 16] memory{masks}{more}) => (float[batch, queries, 16] y) {{
        {heads}
        kt = Transpose<perm = [0, 1, 3, 2]>(k4)
        raw = MatMul(q4, kt)
        scaled = Div(raw, root)
        {mask}
        probability = Softmax<axis = -1>(masked)
        mixed = MatMul(probability, v4)
        turned = Transpose<perm = [0, 2, 1, 3]>(mixed)
        y = Reshape(turned, joined)
    }}""")
    random = np.random.default_rng(0)
    arrays = {f"w{one}": (random.standard_normal((16, 16)) / 4).astype(np.float32) for one in "qkv"}
    floats = {"root": 8**0.5, "minus_inf": -np.inf, "zero": 0.0}
    integers = {"split": [0, 0, 2, 8], "joined": [0, 0, 16], "at12": [1, 2], "zero_int": 0}
    arrays |= {name: np.array(number, dtype=np.float32) for name, number in floats.items()}
    arrays |= {name: np.array(number, dtype=np.int64) for name, number in integers.items()}
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in arrays.items() if name in used)
    onnx.checker.check_model(proto)
    return proto


def fused(proto: ModelProto, folder: Path) -> ModelProto:
    return ir.to_proto(apply_technique(TransformerFusion(), Work(ir.from_proto(proto)), context(folder)).model)


def feeds(proto: ModelProto, batch: int, queries: int, keys: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    mask = (np.arange(keys)[None] < np.maximum(1, keys - 1 - np.arange(batch)[:, None])).astype(np.int64)
    lengths = {"x": queries, "memory": keys, "other": keys}
    given = {name: random.standard_normal((batch, length, 16)).astype(np.float32) for name, length in lengths.items()}
    return {spec.name: (given | {"mask": mask})[spec.name] for spec in proto.graph.input}


@pytest.mark.parametrize("mask", [PLAIN, MASKED], ids=["without a mask", "with a mask of keys"])
def test_it_becomes_one_operator_for_all_lengths(mask: str, tmp_path: Path) -> None:
    proto = cross(mask=mask)
    found = fused(proto, tmp_path)
    counts = Counter(node.op_type for node in found.graph.node)
    assert counts == {"MatMul": 3, "MultiHeadAttention": 1} | ({"Cast": 1} if mask is MASKED else {})
    for size in ((1, 1, 1), (3, 4, 9), (2, 9, 4), (2, 6, 6)):
        given = feeds(proto, *size)
        expected, after = outputs_of(proto, given)[0], outputs_of(found, given)[0]
        np.testing.assert_allclose(after, expected, rtol=0, atol=1e-5)


def test_keys_of_one_sequence_and_values_of_another_are_left(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable):
        fused(cross(values="other"), tmp_path)
