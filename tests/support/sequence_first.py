"""``nn.MultiheadAttention`` as torch's exporters write it: the sequence first, and one product for all projections.

A width of 16 with 2 heads of 8; inputs are ``x`` [batch, sequence, 16] and, where there is a mask, ``mask``
[batch, sequence].
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

WIDTH = 16
FIXED_WIDTHS = """
    head_width = Identity(eight)
    root_scale = Identity(fourth_root)
"""
COMPUTED_WIDTHS = """
    asked = Shape(turned)
    whole = Gather<axis = 0>(asked, two_int)
    head_width_scalar = Div(whole, heads_scalar)
    head_width = Unsqueeze(head_width_scalar, at0)
    head_float = Cast<to = 1>(head_width)
    root = Sqrt(head_float)
    inverse = Div(one_float, root)
    root_scale = Sqrt(inverse)
"""
"""As the older exporter has it: asked of the tensor at run time."""
TURNED = "turned = Transpose<perm = [1, 0, 2]>(x)"
PICKED = """
    four = Concat<axis = 0>(lead, three_parts)
    view = Reshape(qkv, four)
    lifted = Unsqueeze(view, at0)
    parts_first = Transpose<perm = [3, 1, 2, 0, 4]>(lifted)
    parts = Squeeze(parts_first, at3)
    q = Gather<axis = 0>(parts, zero_int)
    k = Gather<axis = 0>(parts, one_int)
    v = Gather<axis = 0>(parts, two_int)
"""
INTERLEAVED = """
    four = Concat<axis = 0>(lead, parts_of_three)
    view = Reshape(qkv, four)
    parts = Transpose<perm = [3, 0, 1, 2]>(view)
    q = Gather<axis = 0>(parts, zero_int)
    k = Gather<axis = 0>(parts, one_int)
    v = Gather<axis = 0>(parts, two_int)
"""
"""Numbers of queries, keys and values in turn: no part of the last axis is one of them."""
PADDED = """
    hidden = Equal(mask, zero_int)
    bias_row = Where(hidden, minus_inf, zero_float)
    bias = Unsqueeze(bias_row, at12)
    masked = Add(scores, bias)
"""
NO_MASK = "masked = Identity(scores)"


def attention(
    *, widths: str = FIXED_WIDTHS, picked: str = PICKED, mask: str = NO_MASK, extra: str = "", opset: int = 17
) -> ModelProto:
    heads = "\n".join(
        f"{one}3 = Reshape({one}, merged)\n {one}_turned = Transpose<perm = [1, 0, 2]>({one}3)\n"
        f"{one}4 = Reshape({one}_turned, heads_apart)"
        for one in "qkv"
    )
    masks = ", int64[batch, sequence] mask" if "mask" in mask.replace("masked", "") else ""
    text = f"""
    <ir_version: 8, opset_import: ["" : {opset}]>
    torch (float[batch, sequence, 16] x{masks}) => (float[batch, sequence, 16] y{", float[a, b, c] p" * bool(extra)}) {{
        {TURNED}
        lead = Shape<start = 0, end = 2>(turned)
        length = Shape<start = 0, end = 1>(turned)
        samples = Shape<start = 1, end = 2>(turned)
        {widths}
        raw = MatMul(turned, wqkv)
        qkv = Add(raw, bqkv)
        {picked}
        merged = Concat<axis = 0>(length, minus_one, head_width)
        heads_apart = Concat<axis = 0>(samples, heads, length, head_width)
        {heads}
        kt = Transpose<perm = [0, 1, 3, 2]>(k4)
        q_scaled = Mul(q4, root_scale)
        k_scaled = Mul(kt, root_scale)
        scores = MatMul(q_scaled, k_scaled)
        {mask}
        probability = Softmax<axis = -1>(masked)
        mixed = MatMul(probability, v4)
        back = Transpose<perm = [2, 0, 1, 3]>(mixed)
        flat = Reshape(back, flat_shape)
        out_flat = Gemm<transB = 1>(flat, wo, bo)
        out_shape = Concat<axis = 0>(lead, sixteen)
        out = Reshape(out_flat, out_shape)
        again = Transpose<perm = [1, 0, 2]>(out)
        y = Add(again, x)
        {extra}
    }}"""
    proto = parse_model(text)
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in _weights().items() if name in used
    )
    onnx.checker.check_model(proto)
    return proto


def feeds(proto: ModelProto, batch: int = 3, sequence: int = 7) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    mask = (np.arange(sequence)[None] < np.maximum(1, sequence - 1 - np.arange(batch)[:, None])).astype(np.int64)
    given = {"x": random.standard_normal((batch, sequence, WIDTH)).astype(np.float32), "mask": mask}
    return {spec.name: given[spec.name] for spec in proto.graph.input}


def _weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"wqkv": (16, 48), "bqkv": (48,), "wo": (16, 16), "bo": (16,)}
    weights = {name: (random.standard_normal(shape) * 0.5).astype(np.float32) for name, shape in shapes.items()}
    floats = {"fourth_root": 8**-0.25, "one_float": 1.0, "minus_inf": -np.inf, "zero_float": 0.0}
    integers = {"eight": [8], "heads": [2], "minus_one": [-1], "at0": [0], "at3": [3], "at12": [1, 2], "zero_int": 0,
                "one_int": 1, "two_int": 2, "heads_scalar": 2, "three_parts": [3, 16], "parts_of_three": [16, 3],
                "flat_shape": [-1, 16], "sixteen": [16]}  # fmt: skip
    weights |= {name: np.array(number, dtype=np.float32) for name, number in floats.items()}
    return weights | {name: np.array(number, dtype=np.int64) for name, number in integers.items()}
