"""Weight-only INT8 and INT4: small weights, computation in floating point.

Matrix products become onnxruntime's MatMulNBits, which reads the small weights as they are: where weights come from
memory (small batches) that is also faster. Every other weight, and all of them where only standard operators are
wanted, is restored by nodes that every runtime folds when it loads the model: smaller on disk, as fast as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, weight_uses
from enxuto.quantization.blocks import block_length, quantize_blocks
from enxuto.quantization.linear import Linear, linears

Bits = Literal[8, 4]

INT4_OPSET = 21
"""The first with tensors of int4."""
_SMALLEST_ELEMENTS = 256
_MICROSOFT = "com.microsoft"
_INT8_ACTIVATIONS = 4
"""MatMulNBits' accuracy level that computes in integers."""


@dataclass(frozen=True)
class Stored:
    fused: int
    """Matrix products that read small weights as they are."""
    restored: int
    """Weights that are restored at load."""


def products(model: ir.Model) -> list[Linear]:
    """Matrix products whose weights are worth storing in few bits."""
    return [one for one in linears(model.graph, frozenset({"Gemm", "MatMul"})) if one.weight.size >= _SMALLEST_ELEMENTS]


def others(model: ir.Model) -> list[tuple[ir.Node, ir.Value]]:
    """Float32 weights of any node that computes with them or gathers rows from them, each once."""
    found = {
        use.weight: use.node
        for use in weight_uses(model.graph, embeddings=True)
        if use.weight.dtype == ir.DataType.FLOAT
        and array_of(use.weight).size >= _SMALLEST_ELEMENTS
        and np.isfinite(array_of(use.weight)).all()
    }
    return [(node, weight) for weight, node in found.items()]


def store_small(model: ir.Model, bits: Bits, block_size: int, *, fused: bool, other_bits: Bits) -> Stored:
    """Edit a normalized model in place."""
    editor = Editor(model.graph)
    replaced = products(model) if fused else []
    for linear in replaced:
        _fuse(editor, linear, bits, block_size)
    passes.RemoveUnusedNodesPass()(model)
    left = others(model)
    for node, weight in left:
        _restore(editor, node, weight, other_bits, block_size)
    if replaced:
        model.graph.opset_imports[_MICROSOFT] = 1
    ir.passes.Sequential(passes.RemoveUnusedNodesPass(), passes.DeduplicateInitializersPass())(model)
    return Stored(len(replaced), len(left))


def _fuse(editor: Editor, linear: Linear, bits: Bits, block_size: int) -> None:
    node = linear.node
    columns = linear.weight if linear.channel_axis == 0 else linear.weight.T
    count, length = columns.shape
    blocks = -(-length // block_size)
    padded = np.pad(columns, ((0, 0), (0, blocks * block_size - length))).reshape(count, blocks, block_size)
    integers, scales = quantize_blocks(padded, bits, axis=2)
    name = node.inputs[1].name if node.inputs[1] else node.name
    inputs = [
        node.inputs[0],
        editor.weight(f"{name}_int{bits}", _packed(integers, bits)),
        editor.weight(f"{name}_scale", scales.reshape(count, blocks)),
    ]
    attributes: dict[str, int | float | str | list[int]] = {
        "K": length, "N": count, "bits": bits, "block_size": block_size, "accuracy_level": _INT8_ACTIVATIONS
    }  # fmt: skip
    new = [editor.node("MatMulNBits", inputs, f"{node.outputs[0].name}_product", _MICROSOFT, attributes=attributes)]
    if linear.bias is not None:
        bias = editor.weight(f"{node.outputs[0].name}_bias", linear.bias)
        new.append(editor.node("Add", [new[0].outputs[0], bias], f"{node.outputs[0].name}_biased"))
    editor.replace(node, new)


def _packed(integers: np.ndarray, bits: Bits) -> np.ndarray:
    """Unsigned around 128 or 8; two values of 4 bits a byte, the first one low."""
    unsigned: np.ndarray = (integers.astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)
    if bits == 4:
        unsigned = unsigned[..., 0::2] | (unsigned[..., 1::2] << 4)
    return unsigned


def _restore(editor: Editor, node: ir.Node, weight: ir.Value, bits: Bits, block_size: int) -> None:
    """``weight = reshape(cast(integers) · scales)``, folded at load."""
    array = array_of(weight)
    integers, scales = quantize_blocks(*_in_blocks(array, node, bits, block_size))
    kind = np.int8 if bits == 8 else ml_dtypes.int4
    stored = editor.weight(f"{weight.name}_int{bits}", integers.astype(kind))
    factors = editor.weight(f"{weight.name}_scale", scales)
    cast = editor.node("Cast", [stored], f"{weight.name}_cast", attributes={"to": int(ir.DataType.FLOAT)})
    scaled = editor.node("Mul", [cast.outputs[0], factors], f"{weight.name}_scaled")
    shape = editor.weight(f"{weight.name}_shape", np.array(array.shape, dtype=np.int64))
    shaped = editor.node("Reshape", [scaled.outputs[0], shape], f"{weight.name}_real")
    editor.graph.insert_before(editor.graph[0], [cast, scaled, shaped])
    weight.replace_all_uses_with(shaped.outputs[0])
    editor.drop_if_unused(weight)


def _in_blocks(array: np.ndarray, node: ir.Node, bits: Bits, block_size: int) -> tuple[np.ndarray, int, int]:
    """The weight with the axis that shares a scale alone at 1, the bits, and that axis.

    Neighbours are what one output sums over: rows of a convolution or an embedding, columns of a matrix product.
    """
    by_columns = node.op_type == "MatMul" or (node.op_type == "Gemm" and not _transposed(node))
    if by_columns and array.ndim == 2:
        matrix = array.reshape(1, *array.shape)
    elif node.op_type == "Conv":
        matrix = array.reshape(array.shape[0], -1, 1)
    else:
        matrix = array.reshape(-1, array.shape[-1], 1)
    rows, length, columns = matrix.shape
    block = length if bits == 8 else block_length(length, block_size)
    return matrix.reshape(rows * (length // block), block, columns), bits, 1


def _transposed(node: ir.Node) -> bool:
    attribute = node.attributes.get("transB")
    return attribute is not None and bool(attribute.as_int())
