"""One layer of a transformer as different exporters write it, at a width of 16 with 2 heads of 8.

Inputs are ``ids`` and ``mask``, int64 [batch, sequence]; where there is a mask, the output is a mean over tokens.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

WIDTH, HEADS, VOCABULARY = 16, 2, 100

DYNAMO_MASK = """
    seen = Cast<to = 9>(mask)
    rows = Shape<start = 0, end = 1>(ids)
    row_count = Squeeze(rows)
    columns = Shape<start = 1, end = 2>(ids)
    column_count = Squeeze(columns)
    row = Range(zero_int, row_count, one_int)
    column = Range(zero_int, column_count, one_int)
    row_wide = Unsqueeze(row, ax123)
    column_wide = Unsqueeze(column, ax012)
    spread = Max(row_wide, column_wide)
    spread_shape = Shape(spread)
    row_all = Expand(row_wide, spread_shape)
    column_all = Expand(column_wide, spread_shape)
    row_last = Unsqueeze(row_all, minus_one)
    column_last = Unsqueeze(column_all, minus_one)
    places = Concat<axis = -1>(row_last, column_last)
    picked = GatherND(seen, places)
    bias = Where(picked, zero, lowest)
"""
LEGACY_MASK = """
    mask_row = Unsqueeze(mask, ax12)
    seen = Cast<to = 9>(mask_row)
    mask_float = Cast<to = 1>(seen)
    hidden = Sub(one, mask_float)
    bias = Mul(hidden, lowest)
"""
SOFT_MASK = LEGACY_MASK.replace("lowest", "minus_10000")
REPLACED_MASK = """
    hidden = Equal(mask, zero_int)
    hidden_row = Unsqueeze<axes = [1, 2]>(hidden)
"""
CAUSAL_MASK = """
    key_shape = Shape(k4)
    length = Slice(key_shape, two, three)
    square = Concat<axis = 0>(length, length)
    ones = Expand(one, square)
    lower = Trilu<upper = 0>(ones)
    above = Equal(lower, zero)
    bias = Where(above, lowest, zero)
"""
SIMPLE_SCORES = """
    kt = Transpose<perm = [0, 2, 3, 1]>(k_split)
    raw = MatMul(q4, kt)
    scaled = Div(raw, root_of_width)
"""
DYNAMO_SCORES = """
    k_shape = Shape(k4)
    k_last = Slice(k_shape, minus_one, end)
    k_second = Slice(k_shape, minus_two, minus_one)
    k_lead = Slice(k_shape, zero_1, minus_two)
    k_flat_shape = Concat<axis = 0>(minus_one, k_second, k_last)
    k_flat = Reshape(k4, k_flat_shape)
    k_turned = Transpose<perm = [0, 2, 1]>(k_flat)
    k_back = Concat<axis = 0>(k_lead, k_last, k_second)
    kt = Reshape(k_turned, k_back)
    q_scaled = Mul(q4, fourth_root)
    k_scaled = Mul(kt, fourth_root)
    scaled = MatMul(q_scaled, k_scaled)
"""
ERF_GELU = """
    over = Div(up, root_two)
    erf = Erf(over)
    plus = Add(erf, one)
    times = Mul(up, plus)
    active = Mul(times, half)
"""
TANH_GELU = """
    cube = Pow(up, three_float)
    small = Mul(cube, cubic)
    sum = Add(up, small)
    inner = Mul(sum, root_two_over_pi)
    tanh = Tanh(inner)
    plus = Add(tanh, one)
    halved = Mul(up, half)
    active = Mul(halved, plus)
"""
NORM = "{out} = LayerNormalization<axis = -1, epsilon = 1e-5>({data}, {name}_scale, {name}_bias)"
NORM_IN_PARTS = """
    {out}_mean = ReduceMean<axes = [-1]>({data})
    {out}_centred = Sub({data}, {out}_mean)
    {out}_squared = Pow({out}_centred, two_float)
    {out}_variance = ReduceMean<axes = [-1]>({out}_squared)
    {out}_safe = Add({out}_variance, epsilon)
    {out}_deviation = Sqrt({out}_safe)
    {out}_normal = Div({out}_centred, {out}_deviation)
    {out}_scaled = Mul({out}_normal, {name}_scale)
    {out} = Add({out}_scaled, {name}_bias)
"""
POOL = """
    mask_last = Unsqueeze(mask, minus_one)
    weight = Cast<to = 1>(mask_last)
    kept = Mul(last, weight)
    total = ReduceSum<keepdims = 0>(kept, one_1)
    count = ReduceSum<keepdims = 0>(weight, one_1)
    y = Div(total, count)
"""


def bert(
    *,
    mask: str = LEGACY_MASK,
    apply: str = "masked = Add(scaled, bias)",
    scores: str = SIMPLE_SCORES,
    guard: bool = False,
    gelu: str = ERF_GELU,
    norm: str = NORM,
    after: str = POOL,
    extra: str = "",
    out: str = "float[batch, 16] y",
    opset: int = 17,
    check: bool = True,
) -> ModelProto:
    """Normalizes last, as BERT does; the first normalization is read by three projections and a residual branch."""
    if guard:
        softmax = "risky = Softmax<axis = -1>(masked)\n nan = IsNaN(risky)\n probability = Where(nan, zero, risky)"
    else:
        softmax = "probability = Softmax<axis = -1>(masked)"
    text = f"""
    <ir_version: 8, opset_import: ["" : {opset}]>
    bert (int64[batch, sequence] ids, int64[batch, sequence] mask) => ({out}) {{
        embedded = Gather(words, ids)
        {norm.format(out="first", data="embedded", name="norm1")}
        {_projections("first")}
        {scores}
        {mask}
        {apply}
        {softmax}
        mixed = MatMul(probability, v4)
        {_joined()}
        attended = MatMul(context, wo)
        attended_b = Add(attended, bo)
        residual = Add(attended_b, first)
        {norm.format(out="second", data="residual", name="norm2")}
        up_raw = MatMul(second, wu)
        up = Add(up_raw, bu)
        {gelu}
        down = MatMul(active, wd)
        down_b = Add(down, bd)
        residual2 = Add(down_b, second)
        {norm.format(out="last", data="residual2", name="norm3")}
        {after}
        {extra}
    }}"""
    return _model(text, WIDTH, check)


def dynamo() -> ModelProto:
    """As torch.onnx.export writes it with dynamo=True, scaled dot-product attention and a mask of padding."""
    return bert(mask=DYNAMO_MASK, scores=DYNAMO_SCORES, guard=True, opset=18)


def legacy() -> ModelProto:
    return bert()


def opset_11() -> ModelProto:
    """Layer normalization in parts, and masked scores replaced by −∞; the output is as long as the sequence."""
    return bert(
        norm=NORM_IN_PARTS, mask=REPLACED_MASK, apply="masked = Where(hidden_row, minus_inf, scaled)", opset=11,
        after="y = Tanh(last)", out="float[batch, sequence, 16] y",
    )  # fmt: skip


def causal(*, gelu: str = TANH_GELU) -> ModelProto:
    """Normalizes first, as GPT does: nothing but the projections reads a normalization."""
    text = f"""
    <ir_version: 8, opset_import: ["" : 18]>
    gpt (int64[batch, sequence] ids) => (float[batch, sequence, 100] y) {{
        embedded = Gather(words, ids)
        {NORM.format(out="first", data="embedded", name="norm1")}
        qkv = MatMul(first, wqkv)
        qkv_b = Add(qkv, bqkv)
        q, k, v = Split<axis = 2, num_outputs = 3>(qkv_b)
        {_split_heads()}
        {DYNAMO_SCORES}
        {CAUSAL_MASK}
        masked = Add(scaled, bias)
        probability = Softmax<axis = -1>(masked)
        mixed = MatMul(probability, v4)
        {_joined()}
        attended = MatMul(context, wo)
        attended_b = Add(attended, bo)
        residual = Add(embedded, attended_b)
        {NORM.format(out="second", data="residual", name="norm2")}
        up_raw = MatMul(second, wu)
        up = Add(up_raw, bu)
        {gelu}
        down = MatMul(active, wd)
        down_b = Add(down, bd)
        residual2 = Add(residual, down_b)
        y = MatMul(residual2, head)
    }}"""
    return _model(text, WIDTH)


def feeds(proto: ModelProto, batch: int = 3, sequence: int = 7, seed: int = 0) -> dict[str, np.ndarray]:
    """Random tokens; each sample has one token fewer than the one before."""
    ids = np.random.default_rng(seed).integers(0, VOCABULARY, (batch, sequence))
    mask = (np.arange(sequence)[None] < np.maximum(1, sequence - 1 - np.arange(batch)[:, None])).astype(np.int64)
    given = {"ids": ids, "mask": mask}
    return {spec.name: given[spec.name] for spec in proto.graph.input}


def _projections(data: str) -> str:
    lines = [f"{one}_raw = MatMul({data}, w{one})\n {one} = Add({one}_raw, b{one})" for one in "qkv"]
    return "\n".join([*lines, _split_heads()])


def _split_heads() -> str:
    lines = [f"{one}_split = Reshape({one}, split_shape)" for one in "qkv"]
    lines += [f"{one}4 = Transpose<perm = [0, 2, 1, 3]>({one}_split)" for one in "qkv"]
    shape = "whole = Shape(ids)\n split_shape = Concat<axis = 0>(whole, heads, width_of_head)"
    return "\n".join([shape, *lines])


def _joined() -> str:
    return """
        turned = Transpose<perm = [0, 2, 1, 3]>(mixed)
        joined_shape = Concat<axis = 0>(whole, minus_one)
        context = Reshape(turned, joined_shape)"""


def _model(text: str, width: int, check: bool = True) -> ModelProto:
    proto = parse_model(text)
    random = np.random.default_rng(0)
    used = {name for node in proto.graph.node for name in node.input}
    weights = {name: array for name, array in _weights(random, width).items() if name in used}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    if check:
        onnx.checker.check_model(proto)
    return proto


def _weights(random: np.random.Generator, width: int) -> dict[str, np.ndarray]:
    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    sides = {
        **dict.fromkeys(("wq", "wk", "wv", "wo"), (width, width)),
        "wu": (width, 4 * width), "wd": (4 * width, width), "wqkv": (width, 3 * width), "head": (width, VOCABULARY),
    }  # fmt: skip
    weights = {name: normal(*shape, scale=2 / np.sqrt(shape[0])) for name, shape in sides.items()}
    biases = {"bq": 1, "bk": 1, "bv": 1, "bo": 1, "bu": 4, "bd": 1, "bqkv": 3}
    weights |= {name: normal(times * width, scale=0.3) for name, times in biases.items()}
    for number in (1, 2, 3):
        weights[f"norm{number}_scale"] = 1 + normal(width, scale=0.1)
        weights[f"norm{number}_bias"] = normal(width, scale=0.1)
    floats = {"zero": 0.0, "one": 1.0, "half": 0.5, "two_float": 2.0, "three_float": 3.0, "cubic": 0.044715,
              "root_two": 2**0.5, "root_two_over_pi": (2 / np.pi) ** 0.5, "minus_10000": -10_000.0,
              "minus_inf": -np.inf, "lowest": float(np.finfo(np.float32).min), "epsilon": 1e-5,
              "root_of_width": 8**0.5, "fourth_root": 8**-0.25}  # fmt: skip
    integers = {"zero_int": 0, "one_int": 1, "minus_one": [-1], "minus_two": [-2], "zero_1": [0], "one_1": [1],
                "two": [2], "three": [3], "end": [2**63 - 1], "ax12": [1, 2], "ax123": [1, 2, 3], "ax012": [0, 1, 2],
                "heads": [2], "width_of_head": [8]}  # fmt: skip
    weights |= {name: np.array(number, dtype=np.float32) for name, number in floats.items()}
    weights |= {name: np.array(number, dtype=np.int64) for name, number in integers.items()}
    return {"words": normal(VOCABULARY, width), **weights}
