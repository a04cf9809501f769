"""Nodes that work with weights in few bits: products that read them as they are, lookups, weights restored at load."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of
from enxuto.quantization.blocks import Blocks
from enxuto.quantization.linear import Linear

MICROSOFT = "com.microsoft"
_REAL = int(ir.DataType.FLOAT)
_INT8_ACTIVATIONS = 4
"""MatMulNBits' accuracy level that computes in integers."""
_WORTH_A_CAST = 128
"""Scales. A cast node takes some 100 bytes; two bytes are saved a scale."""


def multiply(editor: Editor, linear: Linear, blocks: Blocks) -> None:
    """A matrix product that reads small weights as they are."""
    node = linear.node
    count, number, size = blocks.integers.shape
    name = str(node.inputs[1].name if node.inputs[1] else node.name)
    bits = blocks.bits
    inputs = [
        node.inputs[0],
        editor.weight(f"{name}_int{bits}", _packed(blocks.integers, bits)),
        _factors(editor, name, blocks.scales.reshape(count, number)),
        *_packed_zeros(editor, name, blocks),
    ]
    length = linear.weight.shape[1 - linear.channel_axis]
    attributes: dict[str, int | float | str | list[int]] = {
        "K": length, "N": count, "bits": bits, "block_size": size, "accuracy_level": _INT8_ACTIVATIONS
    }  # fmt: skip
    new = [editor.node("MatMulNBits", inputs, f"{node.outputs[0].name}_product", MICROSOFT, attributes=attributes)]
    if linear.bias is not None:
        bias = editor.weight(f"{node.outputs[0].name}_bias", linear.bias)
        new.append(editor.node("Add", [new[0].outputs[0], bias], f"{node.outputs[0].name}_biased"))
    editor.replace(node, new)


def look_up(editor: Editor, node: ir.Node, blocks: Blocks) -> None:
    """Rows of a table in 4 bits, restored as they are gathered."""
    table, rows = node.inputs
    if table is None:
        return
    count, number, size = blocks.integers.shape
    scales = blocks.scales.reshape(count, number)
    half = _in_half(scales)
    inputs = [
        editor.weight(f"{table.name}_int4", _packed(blocks.integers.reshape(count, -1), 4)),
        rows,
        editor.weight(f"{table.name}_scale", scales if half is None else half),
        *_packed_zeros(editor, str(table.name), blocks),
    ]
    attributes: dict[str, int | float | str | list[int]] = {
        "gather_axis": 0, "quantize_axis": 1, "block_size": size, "bits": 4
    }  # fmt: skip
    name = str(node.outputs[0].name)
    new = [editor.node("GatherBlockQuantized", inputs, f"{name}_rows", MICROSOFT, attributes=attributes)]
    if half is not None:  # rows come in the type of the scales, which OpenVINO wants to be constant
        new.append(editor.node("Cast", [new[0].outputs[0]], f"{name}_cast", attributes={"to": _REAL}))
    editor.replace(node, new)


def restore(editor: Editor, weight: ir.Value, blocks: Blocks, *, by_columns: bool) -> None:
    """``weight = (cast(integers) − zero points) · scales``, reshaped where need be; every runtime folds it at load."""
    name, shape = str(weight.name), array_of(weight).shape
    stored = [_laid_out(part, shape, by_columns=by_columns) for part in (blocks.integers, blocks.scales)]
    integers, scales = stored
    nodes = []

    def node(kind: str, inputs: list[ir.Value | None], role: str, **attributes: int) -> ir.Value:
        made = editor.node(kind, inputs, f"{name}_{role}", attributes={**attributes})
        nodes.append(made)
        return made.outputs[0]

    value = node("Cast", [_integers(editor, f"{name}_int{blocks.bits}", integers, blocks)], "cast", to=_REAL)
    if blocks.zero_points is not None:
        zeros = _laid_out(blocks.zero_points, shape, by_columns=by_columns)
        value = node(
            "Sub",
            [value, node("Cast", [_integers(editor, f"{name}_zero", zeros, blocks)], "zeros", to=_REAL)],
            "centred",
        )
    value = node("Mul", [value, _factors(editor, name, scales, nodes)], "real")
    if integers.shape != shape:
        value = node("Reshape", [value, editor.weight(f"{name}_shape", np.array(shape, dtype=np.int64))], "shaped")
    editor.graph.insert_before(editor.graph[0], nodes)
    for use in tuple(weight.uses()):  # a model may hand a weight out as well, as it is
        use.node.replace_input_with(use.idx, value)
    editor.drop_if_unused(weight)


def _laid_out(part: np.ndarray, shape: tuple[int, ...], *, by_columns: bool) -> np.ndarray:
    """As the weight lies in the file: [rows, blocks, …] becomes the weight's own shape where a row is one block."""
    rows, number, size = part.shape
    if by_columns:
        turned = part.transpose(1, 2, 0)
        return turned[0] if number == 1 else turned
    if number > 1:
        return part
    whole = size > 1 or int(np.prod(shape)) == rows
    leading = shape[: _row_axes(shape, rows)]
    return part.reshape(shape if whole else (*leading, *[1] * (len(shape) - len(leading))))


def _row_axes(shape: tuple[int, ...], rows: int) -> int:
    """How many leading axes make up the rows."""
    return next(count for count in range(len(shape) + 1) if int(np.prod(shape[:count])) == rows)


def _integers(editor: Editor, name: str, unsigned: np.ndarray, blocks: Blocks) -> ir.Value:
    """Signed where the zero point is the middle, so that no subtraction is needed."""
    if blocks.zero_points is not None:
        return editor.weight(name, unsigned.astype(np.uint8 if blocks.bits == 8 else ml_dtypes.uint4))
    signed = unsigned.astype(np.int16) - blocks.middle
    return editor.weight(name, signed.astype(np.int8 if blocks.bits == 8 else ml_dtypes.int4))


def _factors(editor: Editor, name: str, scales: np.ndarray, nodes: list[ir.Node] | None = None) -> ir.Value:
    """Scales, in 16 bits behind a cast that is folded at load where that loses nothing."""
    half = _in_half(scales)
    if half is None:
        return editor.weight(f"{name}_scale", scales)
    cast = editor.node("Cast", [editor.weight(f"{name}_scale", half)], f"{name}_factor", attributes={"to": _REAL})
    if nodes is None:
        editor.graph.insert_before(editor.graph[0], [cast])
    else:
        nodes.append(cast)
    return cast.outputs[0]


def _in_half(scales: np.ndarray) -> np.ndarray | None:
    """The same numbers in 16 bits, where that is possible and worth a cast."""
    with np.errstate(over="ignore"):
        half = scales.astype(np.float16)
    return half if scales.size >= _WORTH_A_CAST and np.array_equal(half.astype(np.float32), scales) else None


def _packed_zeros(editor: Editor, name: str, blocks: Blocks) -> list[ir.Value]:
    if blocks.zero_points is None:
        return []
    zeros = blocks.zero_points[..., 0]
    if blocks.bits == 4 and zeros.shape[1] % 2:
        zeros = np.pad(zeros, ((0, 0), (0, 1)))
    return [editor.weight(f"{name}_zero", _packed(zeros, blocks.bits))]


def _packed(unsigned: np.ndarray, bits: int) -> np.ndarray:
    """Two values of 4 bits a byte, the first one low."""
    packed: np.ndarray = unsigned if bits == 8 else unsigned[..., 0::2] | (unsigned[..., 1::2] << 4)
    return packed
