"""Models past 2 GiB of random weights, each weight written as it is drawn, and data for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

_FILE, _WEIGHTS = "model.onnx", "weights.bin"
_HIDDEN, _HEADS, _VOCABULARY, _TOKENS, _CLASSES = 2048, 16, 30_000, 46, 10
_CONSTANTS = (
    f"float root = {{{(_HIDDEN / _HEADS) ** 0.5}}}, float root2 = {{{2**0.5}}}, float one = {{1}}, "
    f"float half = {{0.5}}, int64[4] apart = {{0, 0, {_HEADS}, {_HIDDEN // _HEADS}}}, "
    f"int64[3] together = {{0, 0, {_HIDDEN}}}"
)

Shapes = dict[str, tuple[int, ...]]


def make_products(folder: Path, size_bytes: float, width: int = 4096) -> Path:
    """Products of square matrices, one after the other: thousands of small ones where they are narrow."""
    layers = max(1, round(size_bytes / (4 * width**2)))
    lines = [f"h{each + 1} = MatMul (h{each}, w{each})" for each in range(layers)]
    text = _text(f"float[batch, {width}] h0", f"float[batch, {width}] h{layers}", lines)
    return _save(folder, text, {f"w{each}": (width, width) for each in range(layers)})


def make_transformer(folder: Path, size_bytes: float) -> Path:
    """An encoder with a table of embeddings and a classifier, spelled out as exporters do."""
    ends: Shapes = {"words": (_VOCABULARY, _HIDDEN), "places": (_TOKENS, _HIDDEN), "head": (_HIDDEN, _CLASSES)}
    a_block = sum(4 * math.prod(shape) for shape in _block_shapes(0).values())
    blocks = max(1, round((size_bytes - 4 * _VOCABULARY * _HIDDEN) / a_block))
    shapes = ends | {name: shape for each in range(blocks) for name, shape in _block_shapes(each).items()}
    lines = ["found = Gather (words, ids)", "x0 = Add (found, places)"]
    lines += [line for each in range(blocks) for line in _block_lines(each)]
    lines += [f"mean = ReduceMean <axes = [1], keepdims = 0> (x{blocks})", "scores = MatMul (mean, head)"]
    text = _text(f"int64[batch, {_TOKENS}] ids", f"float[batch, {_CLASSES}] scores", lines, _CONSTANTS)
    return _save(folder, text, shapes)


def make_data(path: Path, samples: int) -> Path:
    """Samples without labels for the transformer."""
    np.savez(path, ids=np.random.default_rng(1).integers(0, _VOCABULARY, (samples, _TOKENS)))
    return path


def _block_shapes(block: int) -> Shapes:
    square, wide = (_HIDDEN, _HIDDEN), (_HIDDEN, 4 * _HIDDEN)
    products: Shapes = {"q": square, "k": square, "v": square, "o": square, "up": wide, "down": wide[::-1]}
    biases: Shapes = {f"b_{name}": shape[-1:] for name, shape in products.items()}
    norms: Shapes = {f"{kind}{number}": (_HIDDEN,) for kind in ("gain", "shift") for number in (1, 2)}
    return {f"{name}_{block}": shape for name, shape in (products | biases | norms).items()}


def _block_lines(n: int) -> Iterator[str]:
    """Layer normalization first, attention, and a GELU spelled out by Erf."""
    yield f"n{n} = LayerNormalization <axis = -1> (x{n}, gain1_{n}, shift1_{n})"
    for name, order in (("q", "[0, 2, 1, 3]"), ("k", "[0, 2, 3, 1]"), ("v", "[0, 2, 1, 3]")):
        yield f"p_{name}{n} = MatMul (n{n}, {name}_{n})"
        yield f"s_{name}{n} = Add (p_{name}{n}, b_{name}_{n})"
        yield f"r_{name}{n} = Reshape (s_{name}{n}, apart)"
        yield f"t_{name}{n} = Transpose <perm = {order}> (r_{name}{n})"
    yield f"alike{n} = MatMul (t_q{n}, t_k{n})"
    yield f"scaled{n} = Div (alike{n}, root)"
    yield f"share{n} = Softmax <axis = -1> (scaled{n})"
    yield f"mixed{n} = MatMul (share{n}, t_v{n})"
    yield f"back{n} = Transpose <perm = [0, 2, 1, 3]> (mixed{n})"
    yield f"joined{n} = Reshape (back{n}, together)"
    yield f"p_o{n} = MatMul (joined{n}, o_{n})"
    yield f"s_o{n} = Add (p_o{n}, b_o_{n})"
    yield f"y{n} = Add (x{n}, s_o{n})"
    yield f"m{n} = LayerNormalization <axis = -1> (y{n}, gain2_{n}, shift2_{n})"
    yield f"p_up{n} = MatMul (m{n}, up_{n})"
    yield f"s_up{n} = Add (p_up{n}, b_up_{n})"
    yield f"d{n} = Div (s_up{n}, root2)"
    yield f"e{n} = Erf (d{n})"
    yield f"f{n} = Add (e{n}, one)"
    yield f"g{n} = Mul (s_up{n}, f{n})"
    yield f"gelu{n} = Mul (g{n}, half)"
    yield f"p_down{n} = MatMul (gelu{n}, down_{n})"
    yield f"s_down{n} = Add (p_down{n}, b_down_{n})"
    yield f"x{n + 1} = Add (y{n}, s_down{n})"


def _text(inputs: str, outputs: str, lines: list[str], constants: str = "") -> str:
    body = "\n".join(lines)
    return f'<ir_version: 8, opset_import: ["" : 17]> made ({inputs}) => ({outputs}) <{constants}> {{ {body} }}'


def _save(folder: Path, text: str, shapes: Shapes) -> Path:
    model = onnx.parser.parse_model(text)
    random = np.random.default_rng(0)
    with (folder / _WEIGHTS).open("wb") as file:
        for name, shape in shapes.items():
            array = _drawn(random, name, shape)
            model.graph.initializer.append(_outside(name, shape, file.tell(), array.nbytes))
            file.write(array.tobytes())
    (folder / _FILE).write_bytes(model.SerializeToString())
    return folder / _FILE


def _drawn(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.startswith("gain"):
        return np.ones(shape, np.float32)
    drawn = random.standard_normal(shape, dtype=np.float32)
    drawn /= shape[0] ** 0.5 if len(shape) > 1 and name != "words" else 10
    return drawn


def _outside(name: str, shape: tuple[int, ...], offset: int, length: int) -> onnx.TensorProto:
    tensor = onnx.TensorProto(
        name=name, data_type=onnx.TensorProto.FLOAT, dims=shape, data_location=onnx.TensorProto.EXTERNAL
    )
    for key, value in (("location", _WEIGHTS), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
