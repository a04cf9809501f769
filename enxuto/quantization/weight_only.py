"""Weight-only INT8 and INT4: small weights, computation in floating point.

Matrix products become onnxruntime's MatMulNBits, which reads the small weights as they are: where weights come from
memory (small batches) that is also faster. Embedding tables are looked up in few bits. Every other weight, and all of
them where only standard operators are wanted, is restored by nodes that every runtime folds when it loads the model.
OpenVINO reads all of these forms and keeps the weights small while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.edit import Editor
from enxuto.graph.normalize import opset_of
from enxuto.graph.weights import array_of, in_default_domain, is_constant, weight_uses
from enxuto.quantization.affine import takes_integers
from enxuto.quantization.blocks import Bits, Blocks, block_length, fitting_block, in_blocks, joined, nearest
from enxuto.quantization.gptq import compensated
from enxuto.quantization.hqq import half_quadratic
from enxuto.quantization.linear import Linear, linears
from enxuto.quantization.small import MICROSOFT, look_up, multiply, restore
from enxuto.quantization.tables import reads_table, store_tables

Method = Literal["rtn", "hqq", "gptq"]
Embeddings = Literal["as_weights", "int8", "float32"]
Hessians = Callable[[Mapping[str, int]], Iterable[tuple[str, np.ndarray]]]
"""Of tensors by name and width."""

INT4_OPSET = 21
"""The first with tensors of int4."""
_SMALLEST_ELEMENTS = 256
_ELEMENTS_AT_ONCE = 1 << 18
_SMALLEST_BLOCK = 16
"""Of a lookup in blocks."""


@dataclass(frozen=True)
class Way:
    """How weights are stored."""

    bits: Bits
    other_bits: Bits
    """Of weights that are restored at load: tensors of int4 need a recent opset."""
    block_size: int
    symmetric: bool
    method: Method
    embeddings: Embeddings
    fused: bool
    """Whether operators of onnxruntime's own may be used."""
    exclude: frozenset[str]
    """Names and operator types of nodes whose weights stay as they are."""

    def leaves(self, node: ir.Node) -> bool:
        return node.op_type in self.exclude or str(node.name) in self.exclude


@dataclass(frozen=True)
class Stored:
    fused: int
    """Matrix products that read small weights as they are."""
    looked_up: int
    """Lookups in tables of few bits."""
    restored: int
    """Weights that are restored at load."""
    restored_bits: Bits
    compensated: int
    """Of all, by GPTQ."""


def products(model: ir.Model, way: Way) -> list[Linear]:
    """Matrix products whose weights are worth storing in few bits."""
    return [
        one
        for one in linears(model.graph, frozenset({"Gemm", "MatMul"}))
        if one.weight.size >= _SMALLEST_ELEMENTS and not way.leaves(one.node)
    ]


def others(model: ir.Model, way: Way, without: Collection[ir.Node] = ()) -> list[tuple[ir.Node, ir.Value]]:
    """Float32 weights of any other node that computes with them or gathers rows from them, each once."""
    found: dict[ir.Value, ir.Node] = {}
    left: set[ir.Value] = set()
    for use in weight_uses(model.graph, embeddings=True):
        if use.node in without:
            continue
        found[use.weight] = use.node
        if way.leaves(use.node) or (use.node.op_type == "Gather" and way.embeddings == "float32"):
            left.add(use.weight)
    return [(node, weight) for weight, node in found.items() if weight not in left and _worth_it(weight)]


def restored(model: ir.Model, way: Way) -> list[tuple[ir.Node, ir.Value]]:
    """Weights that no operator reads in few bits: they are restored at load."""
    read = {one.node for one in products(model, way)} if way.fused else set()
    return others(model, way, read | set(tables(model, way)))


def wants_int4(model: ir.Model, way: Way) -> bool:
    """Whether tensors of int4 are worth a newer opset: where over a fiftieth of the weights is restored at load."""
    held = [array_of(weight).size for _, weight in restored(model, way)]
    return sum(held) * 50 > sum(array_of(weight).size for _, weight in others(model, way))


def tables(model: ir.Model, way: Way) -> list[ir.Node]:
    """Lookups that can gather rows in few bits."""
    if way.embeddings == "float32":
        return []
    found = [node for node in model.graph if node.op_type == "Gather" and in_default_domain(node) and reads_table(node)]
    wide = way.embeddings == "int8" or way.bits == 8
    return [node for node in found if not way.leaves(node) and (wide or (way.fused and _has_blocks(node, way)))]


def store_small(model: ir.Model, way: Way, hessians: Hessians) -> Stored:
    """Edit a normalized model in place."""
    if opset_of(model) < INT4_OPSET:
        way = replace(way, other_bits=8)
    matrices = products(model, way)
    solved = dict(_compensated(matrices, way, hessians)) if way.method == "gptq" else {}
    editor = Editor(model.graph)
    fused = matrices if way.fused else []
    for linear in fused:
        blocks = solved.get(linear.node) or _rounded_product(linear, way)
        multiply(editor, linear, blocks)
    passes.RemoveUnusedNodesPass()(model)
    looked_up = _store_tables(model, way)
    editor = Editor(model.graph)  # anew: it must know of the names given meanwhile
    left = others(model, way)
    for node, weight in left:
        _restore(editor, node, weight, way, solved.get(node))
    if any(node.domain == MICROSOFT for node in model.graph):
        model.graph.opset_imports[MICROSOFT] = 1
    ir.passes.Sequential(passes.RemoveUnusedNodesPass(), passes.DeduplicateInitializersPass())(model)
    return Stored(len(fused), looked_up, len(left), way.other_bits, len(solved))


def _compensated(matrices: list[Linear], way: Way, hessians: Hessians) -> Iterator[tuple[ir.Node, Blocks]]:
    """By GPTQ, whatever has a Hessian; products that read one tensor share it."""
    readers: dict[str, list[Linear]] = {}
    for linear in matrices:
        if way.fused or _direct(linear):
            readers.setdefault(str(linear.node.inputs[0].name if linear.node.inputs[0] else ""), []).append(linear)
    widths = {name: _by_outputs(found[0]).shape[1] for name, found in readers.items()}
    for name, hessian in hessians(widths):
        for linear in readers[name]:
            matrix = _by_outputs(linear)
            bits, size = _grain(matrix.shape[1], way)
            yield linear.node, compensated(matrix, hessian, bits, size, symmetric=way.symmetric)


def _rounded_product(linear: Linear, way: Way) -> Blocks:
    matrix = _by_outputs(linear)
    bits, size = _grain(matrix.shape[1], way)
    return _rounded(in_blocks(matrix, size), bits, way)


def _grain(length: int, way: Way) -> tuple[Bits, int]:
    """Bits and block size of a row of a matrix product."""
    if not way.fused:
        return way.other_bits, _restored_block(length, way)
    return way.bits, fitting_block(length, way.block_size)


def _restored_block(length: int, way: Way) -> int:
    return length if way.other_bits == 8 else block_length(length, way.block_size)


def _rounded(values: np.ndarray, bits: Bits, way: Way) -> Blocks:
    """Some rows at a time: what is needed on the way is several times as large as they are."""
    rows = max(_ELEMENTS_AT_ONCE // max(values[0].size, 1), 1)
    parts = [_rounded_rows(values[start : start + rows], bits, way) for start in range(0, len(values), rows)]
    return joined(parts)


def _rounded_rows(values: np.ndarray, bits: Bits, way: Way) -> Blocks:
    return half_quadratic(values, bits) if way.method == "hqq" else nearest(values, bits, symmetric=way.symmetric)


def _store_tables(model: ir.Model, way: Way) -> int:
    found = tables(model, way)
    if way.embeddings == "int8" or way.bits == 8:
        return store_tables(model.graph, found)
    editor = Editor(model.graph)
    for node in found:
        table = array_of(node.inputs[0])  # type: ignore[arg-type]
        values = in_blocks(table, _table_block(table.shape[1], way))
        # an odd number of zero points leaves half a byte over, which OpenVINO refuses to read
        odd = values.shape[1] % 2 == 1
        look_up(editor, node, _rounded(values, 4, replace(way, method="rtn", symmetric=True) if odd else way))
    return len(found)


def _restore(editor: Editor, node: ir.Node, weight: ir.Value, way: Way, solved: Blocks | None) -> None:
    array = array_of(weight)
    by_columns = array.ndim == 2 and (node.op_type == "MatMul" or (node.op_type == "Gemm" and not _transposed(node)))
    if solved is None:
        rows = array.T if by_columns else array.reshape(_rows_of(array, node), -1)
        solved = _rounded(in_blocks(rows, _restored_block(rows.shape[1], way)), way.other_bits, way)
    restore(editor, weight, solved, by_columns=by_columns)


def _rows_of(array: np.ndarray, node: ir.Node) -> int:
    """Neighbours are what one output sums over: all of a filter, else what lies along the last axis."""
    return len(array) if node.op_type == "Conv" else array.size // array.shape[-1]


def _by_outputs(linear: Linear) -> np.ndarray:
    """[outputs, inputs]."""
    return linear.weight if linear.channel_axis == 0 else linear.weight.T


def _direct(linear: Linear) -> bool:
    """Whether the weight is an initializer that the node reads as it is, unscaled, and alone."""
    weight, alpha = linear.node.inputs[1], linear.node.attributes.get("alpha")
    plain = alpha is None or alpha.as_float() == 1.0
    return plain and is_constant(weight) and weight is not None and len(weight.uses()) == 1


def _worth_it(weight: ir.Value) -> bool:
    if weight.dtype != ir.DataType.FLOAT:
        return False
    array = array_of(weight)
    return array.size >= _SMALLEST_ELEMENTS and takes_integers(array)


def _has_blocks(node: ir.Node, way: Way) -> bool:
    table = node.inputs[0]
    shape = () if table is None else array_of(table).shape
    return len(shape) == 2 and _table_block(shape[1], way) >= _SMALLEST_BLOCK


def _table_block(width: int, way: Way) -> int:
    """The largest power of two that divides the width, up to the block size."""
    return min(width & -width, way.block_size)


def _transposed(node: ir.Node) -> bool:
    attribute = node.attributes.get("transB")
    return attribute is not None and bool(attribute.as_int())
