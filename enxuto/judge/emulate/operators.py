"""Operators that add up U8 × S8 products: sums as asked for, everything after them as ONNX Runtime does it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from onnx import NodeProto

from enxuto.judge.emulate.convolution import windows
from enxuto.judge.emulate.products import attribute, convolution_matrix
from enxuto.judge.emulate.sums import Adder

Inputs = Sequence[np.ndarray | None]
_ZERO = np.uint8(0)


class Products:
    """Computes such operators with the sums of one kind of processor."""

    def __init__(self, adder: Adder, constant: Collection[str]) -> None:
        """``constant`` names what the nodes give whose weights never change."""
        self._adder = adder
        self._constant = constant

    def compute(self, node: NodeProto, inputs: Inputs) -> np.ndarray:
        """What the node gives; sources: the operators' definitions in ONNX and in ONNX Runtime's
        ``ContribOperators.md``."""
        given = [*inputs, *[None] * (9 - len(inputs))]
        key = node.output[0] if node.output[0] in self._constant else None
        match node.op_type:
            case "QLinearConv":
                return self._convolution(node, given, key)
            case "QLinearMatMul":
                x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = map(_given, given[:8])
                return _requantized(self._product(x, w, x_zero, w_zero, key), x_scale * w_scale / y_scale, y_zero)
            case "QGemm":
                return self._gemm(node, given, key)
            case "MatMulInteger":
                return self._product(_given(given[0]), _given(given[1]), given[2], given[3], key).astype(np.int32)
            case "MatMulIntegerToFloat":
                scale = _given(given[2]) * _given(given[3])
                total = self._product(_given(given[0]), _given(given[1]), given[4], given[5], key)
                return _real(total, scale, given[6])
        raise ValueError(f"{node.op_type} is not emulated")

    def _gemm(self, node: NodeProto, given: Inputs, key: str | None) -> np.ndarray:
        x, x_scale, x_zero, w, w_scale, w_zero = map(_given, given[:6])
        x = x.T if attribute(node, "transA", 0) else x
        w = w.T if attribute(node, "transB", 0) else w
        total = self._product(x, w, x_zero, w_zero, key)
        if given[6] is not None:
            total = total + given[6]
        scale = x_scale * w_scale
        if given[7] is None:
            return _real(total, scale, None)
        return _requantized(total, scale / given[7], _given(given[8]))

    def _product(
        self, left: np.ndarray, right: np.ndarray, left_zero: np.ndarray | None, right_zero: np.ndarray | None,
        key: str | None, *, in_32_bits: bool = False,
    ) -> np.ndarray:  # fmt: skip
        """Zero points are taken off afterwards, from sums of the bytes as they are."""
        if right.ndim == 2:
            flat = left.reshape(-1, left.shape[-1])
            total = self._adder.sums(flat, right, key, in_32_bits=in_32_bits).reshape(*left.shape[:-1], right.shape[1])
        else:
            total = self._batched(left, right)
        left_zeros, right_zeros = _per_row(left_zero, left), _numbers(right_zero)
        if left_zeros.any():
            total = total - left_zeros * right.sum(axis=-2, keepdims=right.ndim > 2, dtype=np.int64)
        if right_zeros.any():
            summed = left.sum(axis=-1, keepdims=True, dtype=np.int64) - left.shape[-1] * left_zeros
            total = total - summed * right_zeros
        return total

    def _batched(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        shape = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        lefts = np.broadcast_to(left, (*shape, *left.shape[-2:])).reshape(-1, *left.shape[-2:])
        rights = np.broadcast_to(right, (*shape, *right.shape[-2:])).reshape(-1, *right.shape[-2:])
        each = [self._adder.sums(one, other) for one, other in zip(lefts, rights, strict=True)]
        return np.stack(each).reshape(*shape, left.shape[-2], right.shape[-1])

    def _convolution(self, node: NodeProto, given: Inputs, key: str | None) -> np.ndarray:
        """Image by image, so that memory stays that of one."""
        x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = map(_given, given[:8])
        matrices = convolution_matrix(w, attribute(node, "group", 1))
        bias = 0 if given[8] is None else given[8]
        first = w_zero.reshape(-1)[:1]
        depthwise = w.shape[1] == 1 and len(w) == len(matrices) > 1
        images = []
        for image in x:
            totals = []
            for position, (group, matrix) in enumerate(zip(np.split(image, len(matrices)), matrices, strict=True)):
                rows, space = windows(node, group, w.shape[2:], int(x_zero.reshape(-1)[0]))
                each = key and f"{key}/{position}"
                totals.append(self._product(rows, matrix, x_zero, first, each, in_32_bits=depthwise))
            done = _requantized(np.concatenate(totals, axis=1) + bias, x_scale * w_scale / y_scale, y_zero)
            images.append(done.T.reshape(-1, *space))
        return np.stack(images)


def _per_row(zero: np.ndarray | None, left: np.ndarray) -> np.ndarray:
    """A zero point for each row of the left side, or one for all."""
    values = _numbers(zero)
    return values[:, None] if values.size == left.shape[-2] and values.size > 1 else values[:1]


def _numbers(zero: np.ndarray | None) -> np.ndarray:
    return np.asarray(_ZERO if zero is None else zero).astype(np.int64).reshape(-1)


def _real(total: np.ndarray, scale: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    scaled: np.ndarray = total.astype(np.float32) * scale
    return scaled if bias is None else scaled + bias


def _requantized(total: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """As MLAS does it: float32, clipped, rounded half to even."""
    limits = np.iinfo(zero.dtype)
    offset = float(zero.reshape(-1)[0])
    real = total.astype(np.float32) * np.asarray(scale, np.float32)
    levels: np.ndarray = np.rint(real.clip(limits.min - offset, limits.max - offset)) + np.float32(offset)
    return levels.astype(zero.dtype)


def _given(value: np.ndarray | None) -> np.ndarray:
    if value is None:
        raise ValueError("an input that the operator needs is missing")
    return value
