"""Takes out pairs of transpositions between which every token is computed on its own.

``nn.MultiheadAttention`` puts the sequence first whatever it is given, multiplies, and turns it back behind the next
product. Products and biases do not care which of the two axes comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.fusion.match import last_axis, made_by, other_input
from enxuto.graph.weights import array_of, input_of, is_constant

_SWAPPED = (1, 0, 2)


@dataclass(frozen=True)
class _Between:
    """Two transpositions, and the nodes between them, in order."""

    first: ir.Node
    nodes: list[ir.Node]
    last: ir.Node


def drop_turns(model: ir.Model) -> int:
    """Edit a normalized model in place, shapes inferred; returns how many pairs were taken out.

    An identity is what is left of two with nothing between them.
    """
    editor, dropped = Editor(model.graph), 0
    for node in list(model.graph):
        readers = _readers(node.outputs[0]) if node.graph is not None and _swaps(node) else []
        for reader in readers:
            found = _behind(node, reader)
            if found is not None:
                _write(editor, found)
                dropped += 1
    return dropped


def _swaps(node: ir.Node) -> bool:
    order = node.attributes.get("perm") if made_by(node.outputs[0], "Transpose") is node else None
    return order is not None and tuple(order.as_ints()) == _SWAPPED


def _behind(first: ir.Node, start: ir.Node) -> _Between | None:
    """Down a chain whose values nobody else reads but for their shape, to the transposition back."""
    value, nodes, flat, readers = first.outputs[0], list[ir.Node](), False, [start]
    while len(readers) == 1:
        (reader,) = readers
        if _swaps(reader):
            return None if flat else _Between(first, nodes, reader)
        if reader.op_type == "Reshape" and made_by(reader.outputs[0], "Reshape"):
            kept = _laid_flat(first, reader) if not flat else _stood_up(first, reader)
            if not kept:
                return None
            flat = not flat
        elif not _tokenwise(reader, value, flat):
            return None
        nodes.append(reader)
        value = reader.outputs[0]
        readers = [] if value.is_graph_output() else _readers(value)
    return None


def _readers(value: ir.Value) -> list[ir.Node]:
    """Apart from whoever asks for the shape alone."""
    return [node for node in value.consumers() if node.op_type != "Shape"]


def _tokenwise(node: ir.Node, value: ir.Value, flat: bool) -> bool:
    """Whether a node computes the last axis of each token from that alone."""
    if made_by(node.outputs[0], "Add"):
        other = other_input(node, value)
        return other is not None and is_constant(other) and array_of(other).ndim == 1
    if made_by(node.outputs[0], "MatMul"):
        weight = input_of(node, 1)
        return node.inputs[0] is value and is_constant(weight) and weight is not None and array_of(weight).ndim == 2
    return flat and made_by(node.outputs[0], "Gemm") is not None and _is_linear(node, value)


def _is_linear(gemm: ir.Node, value: ir.Value) -> bool:
    numbers = {"transA": 0, "alpha": 1.0, "beta": 1.0}
    plain = all(name not in gemm.attributes or gemm.attributes[name].value == one for name, one in numbers.items())
    weight, bias = input_of(gemm, 1), input_of(gemm, 2)
    by_column = bias is None or (is_constant(bias) and array_of(bias).ndim == 1)
    return plain and gemm.inputs[0] is value and is_constant(weight) and by_column


def _laid_flat(first: ir.Node, reshape: ir.Node) -> bool:
    """[sequence, batch, width] to [sequence · batch, width]."""
    shape, width = reshape.outputs[0].shape, last_axis(first.outputs[0])
    return shape is not None and len(shape) == 2 and width is not None and shape[1] == width


def _stood_up(first: ir.Node, reshape: ir.Node) -> bool:
    """[sequence · batch, any] back to [sequence, batch, any]: one of both sizes is known to be the same as before."""
    before, after = first.outputs[0].shape, reshape.outputs[0].shape
    data = last_axis(reshape.inputs[0])
    if before is None or after is None or len(after) != 3 or data is None or after[2] != data:
        return False
    return any(_same(old, new) for old, new in zip(before[:2], after[:2], strict=True))


def _same(old: int | ir.SymbolicDim, new: int | ir.SymbolicDim) -> bool:
    return old == new and (isinstance(old, int) or (old.value is not None and not str(old.value).startswith("unk__")))


def _write(editor: Editor, found: _Between) -> None:
    """The products and biases alone, on three axes."""
    value = found.first.inputs[0]
    new: list[ir.Node] = []
    for node in found.nodes:
        if node.op_type == "Reshape":
            continue
        name = f"{node.outputs[0].name}_in_place"
        if node.op_type == "Gemm":
            new.append(editor.node("MatMul", [value, _columns(editor, node)], name))
            bias = input_of(node, 2)
            if bias is not None:
                new.append(editor.node("Add", [new[-1].outputs[0], bias], f"{name}_biased"))
        else:
            others = [value if one is not None and not is_constant(one) else one for one in node.inputs]
            new.append(editor.node(node.op_type, others, name))
        value = new[-1].outputs[0]
    editor.replace(found.last, new or [editor.node("Identity", [value], f"{found.last.outputs[0].name}_in_place")])


def _columns(editor: Editor, gemm: ir.Node) -> ir.Value:
    """The weight as a matrix product reads it."""
    weight = gemm.inputs[1]
    if weight is None:
        raise ValueError(f"'{gemm.name}' has no weight")
    turned = gemm.attributes.get("transB")
    if turned is None or not turned.as_int():
        return weight
    return editor.weight(f"{weight.name}_turned", np.ascontiguousarray(array_of(weight).T))
