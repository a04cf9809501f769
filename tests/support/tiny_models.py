"""Tiny models as text, with weights drawn by seed: real enough for every runtime, small enough for every test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model


def save(model: ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def convnet(*, batch: int | str = "batch", classes: int = 10, channels: int = 8, seed: int = 0) -> ModelProto:
    """Two convolutions with batch norm, pooled and classified: ``image`` [batch, 3, 8, 8] → ``scores``."""
    random = np.random.default_rng(seed)
    return _model(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        convnet (float[{batch}, 3, 8, 8] image) => (float[{batch}, {classes}] scores) {{
            c1 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(image, conv1_weight, conv1_bias)
            b1 = BatchNormalization(c1, norm_scale, norm_bias, norm_mean, norm_var)
            r1 = Relu(b1)
            c2 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r1, conv2_weight, conv2_bias)
            r2 = Relu(c2)
            pooled = GlobalAveragePool(r2)
            flat = Flatten(pooled)
            scores = Gemm<transB = 1>(flat, head_weight, head_bias)
        }}
        """,
        {
            "conv1_weight": _normal(random, channels, 3, 3, 3),
            "conv1_bias": _normal(random, channels),
            "norm_scale": np.abs(_normal(random, channels)) + np.float32(0.5),
            "norm_bias": _normal(random, channels),
            "norm_mean": _normal(random, channels),
            "norm_var": np.abs(_normal(random, channels)) + np.float32(0.5),
            "conv2_weight": _normal(random, channels, channels, 3, 3),
            "conv2_bias": _normal(random, channels),
            "head_weight": _normal(random, classes, channels),
            "head_bias": _normal(random, classes),
        },
    )


def fixed_convnet(*, batch: int = 4, seed: int = 0) -> ModelProto:
    """The convnet with its batch axis fixed."""
    return convnet(batch=batch, seed=seed)


def mlp(*, features: int = 16, hidden: int = 32, classes: int = 4, seed: int = 0, half: bool = False) -> ModelProto:
    """Two matrix products: ``x`` [batch, features] → ``y`` [batch, classes]; in float16 if ``half``."""
    random = np.random.default_rng(seed)
    kind = "float16" if half else "float"
    return _model(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        mlp ({kind}[batch, {features}] x) => ({kind}[batch, {classes}] y) {{
            h = MatMul(x, weight1)
            hb = Add(h, bias1)
            a = Relu(hb)
            o = MatMul(a, weight2)
            y = Add(o, bias2)
        }}
        """,
        {
            "weight1": _normal(random, features, hidden),
            "bias1": _normal(random, hidden),
            "weight2": _normal(random, hidden, classes),
            "bias2": _normal(random, classes),
        },
        half=half,
    )


def scaled_mlp(*, batch: int | str = "batch", width: int = 64, seed: int = 0) -> ModelProto:
    """``scale``, a single number, and ``x`` [batch, width] → ``y`` [batch, 10]."""
    random = np.random.default_rng(seed)
    return _model(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        scaled (float scale, float[{batch}, {width}] x) => (float[{batch}, 10] y) {{
            scaled = Mul(x, scale)
            h = MatMul(scaled, weight1)
            hb = Add(h, bias1)
            a = Relu(hb)
            o = MatMul(a, weight2)
            y = Add(o, bias2)
        }}
        """,
        {
            "weight1": _normal(random, width, 128),
            "bias1": _normal(random, 128),
            "weight2": _normal(random, 128, 10),
            "bias2": _normal(random, 10),
        },
    )


def two_in_two_out(*, seed: int = 0) -> ModelProto:
    """``left`` [batch, 6] and ``right`` [batch, 6] → their weighted ``sum`` and ``product``."""
    return _model(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        two (float[batch, 6] left, float[batch, 6] right) => (float[batch, 6] sum, float[batch, 6] product) {
            weighted = MatMul(left, weight)
            sum = Add(weighted, right)
            product = Mul(weighted, right)
        }
        """,
        {"weight": _normal(np.random.default_rng(seed), 6, 6)},
    )


def tokens(*, vocabulary: int = 20, width: int = 8, seed: int = 0, half: bool = False) -> ModelProto:
    """A language model's shape: ``tokens`` int64 [batch, sequence] → ``logits`` [batch, sequence, vocabulary]."""
    random = np.random.default_rng(seed)
    kind = "float16" if half else "float"
    return _model(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        language (int64[batch, sequence] tokens) => ({kind}[batch, sequence, {vocabulary}] logits) {{
            embedded = Gather(embedding, tokens)
            hidden = MatMul(embedded, weight)
            active = Tanh(hidden)
            logits = MatMul(active, head)
        }}
        """,
        {
            "embedding": _normal(random, vocabulary, width),
            "weight": _normal(random, width, width),
            "head": _normal(random, width, vocabulary),
        },
        half=half,
    )


def branching(*, seed: int = 0) -> ModelProto:
    """Control flow: ``x`` [batch, 6] goes through one of two weights, by the sign of its sum → ``y``."""
    random = np.random.default_rng(seed)
    return _model(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        branching (float[batch, 6] x) => (float[batch, 6] y) {
            total = ReduceSum<keepdims = 0>(x)
            zero = Constant<value = float {0.0}>()
            positive = Greater(total, zero)
            y = If(positive) <
                then_branch = positive_branch () => (float[batch, 6] y_then) { y_then = MatMul(x, weight_then) },
                else_branch = negative_branch () => (float[batch, 6] y_else) { y_else = MatMul(x, weight_else) }
            >
        }
        """,
        {"weight_then": _normal(random, 6, 6), "weight_else": _normal(random, 6, 6)},
    )


def _model(text: str, weights: dict[str, np.ndarray], *, half: bool = False) -> ModelProto:
    model = parse_model(text)
    model.producer_name = "tiny"
    if half:
        weights = {name: array.astype(np.float16) for name, array in weights.items()}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.checker.check_model(model)
    return model


def _normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Scaled by the inputs of one output, so that activations keep their size."""
    fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
    return (random.standard_normal(shape) / np.sqrt(max(fan_in, 1))).astype(np.float32)
