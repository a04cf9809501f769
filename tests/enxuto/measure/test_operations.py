"""Operations and bytes are what a hand count gives, and null where nobody can know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from enxuto.measure.operations import count_operations, moved_bytes, output_bytes, precision_of
from enxuto.runtimes.recording import RanNode, Tensor

Shape = tuple[int, ...]


def tensor(name: str, shape: Shape, dtype: str = "float32") -> Tensor:
    return Tensor(name, dtype, shape)


def ran(
    op_type: str,
    inputs: Sequence[Shape | None],
    output: Shape,
    *,
    dtype: str = "float32",
    complete: bool = True,
    **attributes: object,
) -> RanNode:
    tensors = [None if shape is None else tensor(f"in{at}", shape, dtype) for at, shape in enumerate(inputs)]
    return RanNode(
        name="node", op_type=op_type, inputs=tensors, outputs=[tensor("out", output, dtype)], complete=complete,
        attributes=attributes, sources=["node"], precision=None, times_us=np.ones(3),
    )  # fmt: skip


IMAGE, MADE = (1, 16, 32, 32), (1, 8, 30, 30)


@pytest.mark.parametrize(
    ("node", "operations"),
    [
        (ran("Conv", [IMAGE, (8, 16, 3, 3), (8,)], MADE), 2 * 8 * 30 * 30 * 16 * 3 * 3),
        (ran("Conv", [IMAGE, (16, 1, 3, 3)], (1, 16, 30, 30), group=16), 2 * 16 * 30 * 30 * 9),
        (ran("nchwc.Conv", [IMAGE, (8, 16, 3, 3), (8,), MADE], MADE), 2 * 8 * 30 * 30 * 16 * 9),
        (ran("QLinearConv", [IMAGE, (), (), (8, 16, 3, 3), (), (), (), ()], MADE), 2 * 8 * 30 * 30 * 16 * 9),
        (ran("ConvTranspose", [(1, 4, 5, 5), (4, 2, 3, 3)], (1, 2, 7, 7)), 2 * (4 * 25) * (2 * 9)),
        (ran("MatMul", [(2, 7, 5), (5, 3)], (2, 7, 3)), 2 * 2 * 7 * 3 * 5),
        (ran("Gemm", [(5, 7), (5, 3)], (7, 3), transA=1), 2 * 7 * 3 * 5),
        (ran("FusedMatMul", [(4, 5, 7), (4, 5, 3)], (4, 7, 3), transA=1), 2 * 4 * 7 * 3 * 5),
        (ran("MatMulInteger", [(7, 5), (5, 3)], (7, 3)), 2 * 7 * 3 * 5),
        (ran("MatMulNBits", [(7, 64), (3, 2, 16)], (7, 3), K=64, N=3), 2 * 7 * 3 * 64),
        (ran("GRU", [(48, 2, 80), (1, 288, 80), (1, 288, 96)], (48, 1, 2, 96)), 2 * 48 * 2 * 288 * (80 + 96)),
        (ran("LSTM", [(5, 1, 4), (2, 12, 4), (2, 12, 3)], (5, 2, 1, 3)), 2 * 5 * (2 * 12 * 4 + 2 * 12 * 3)),
        (ran("MultiHeadAttention", [(1, 9, 32)] * 3, (1, 9, 32)), 2 * 9 * 9 * 32 * 2),
        (ran("Attention", [(1, 9, 32), (32, 96), (96,)], (1, 9, 32)), 2 * 9 * 32 * 96 + 2 * 9 * 9 * 32 * 2),
        (ran("Add", [(4, 5), (5,)], (4, 5)), 20),
        (ran("QuantizeLinear", [(4, 5), ()], (4, 5)), 40),
        (ran("AveragePool", [(1, 2, 8, 8)], (1, 2, 4, 4), kernel_shape=[2, 2]), 2 * 16 * 4),
        (ran("GlobalAveragePool", [(1, 2, 8, 8)], (1, 2, 1, 1)), 128),
        (ran("Transpose", [(4, 5)], (5, 4)), 0),
        (ran("Softmax", [(4, 5)], (4, 5)), None),
        (ran("SomethingNew", [(4, 5)], (4, 5)), None),
        (ran("MatMul", [None, (5, 3)], (2, 7, 3)), None),
        (ran("Conv", [IMAGE, None], MADE), None),
    ],
    ids=lambda value: f"{value.op_type}" if isinstance(value, RanNode) else None,
)  # fmt: skip
def test_operations_are_those_of_a_hand_count(node: RanNode, operations: int | None) -> None:
    assert count_operations(node) == operations


def test_inputs_weights_and_outputs_move_once() -> None:
    node = ran("MatMul", [(7, 5), (5, 3)], (7, 3))
    assert (moved_bytes(node), output_bytes(node)) == (4 * (35 + 15 + 21), 84)


def test_what_is_read_twice_moves_once() -> None:
    twice = ran("Mul", [(7, 5)], (7, 5))
    squared = RanNode(**{**vars(twice), "inputs": [twice.inputs[0], twice.inputs[0]]})
    assert moved_bytes(squared) == 4 * 35 * 2


def test_a_lookup_reads_the_rows_that_it_writes_and_not_the_table() -> None:
    assert moved_bytes(ran("Gather", [(30_000, 384), (1, 9)], (1, 9, 384))) == 2 * 4 * 9 * 384


def test_another_shape_of_the_same_bytes_moves_nothing() -> None:
    assert moved_bytes(ran("Reshape", [(4, 5), (1,)], (20,))) == 0


def test_four_bits_take_half_a_byte() -> None:
    assert tensor("w", (3, 5), "int4").size_bytes == 8


@pytest.mark.parametrize(("dtype", "size_bytes"), [("bfloat16", 40), ("bool", 20), ("string", None)])
def test_bytes_follow_from_the_type(dtype: str, size_bytes: int | None) -> None:
    assert tensor("x", (4, 5), dtype).size_bytes == size_bytes


def test_a_shape_that_is_missing_leaves_the_bytes_open() -> None:
    assert moved_bytes(ran("MatMul", [(7, 5), None], (7, 3), complete=False)) is None


@pytest.mark.parametrize(
    ("node", "precision"),
    [
        (ran("QLinearConv", [IMAGE, (), (), (8, 16, 3, 3)], MADE, dtype="uint8"), "int8"),
        (ran("DynamicQuantizeMatMul", [(7, 5), (5, 3)], (7, 3)), "int8"),
        (ran("MatMulNBits", [(7, 64), (3, 2, 16)], (7, 3), K=64, accuracy_level=4), "int8"),
        (ran("MatMulNBits", [(7, 64), (3, 2, 16)], (7, 3), K=64), "float32"),
        (ran("MatMul", [(7, 5), (5, 3)], (7, 3), dtype="float64"), "float64"),
        (ran("Transpose", [(7, 5)], (5, 7)), None),
        (ran("Add", [(7,), (7,)], (7,), dtype="int64"), None),
    ],
    ids=lambda value: f"{value.op_type}" if isinstance(value, RanNode) else None,
)  # fmt: skip
def test_the_precision_is_what_is_multiplied_in(node: RanNode, precision: str | None) -> None:
    assert precision_of(node) == precision
