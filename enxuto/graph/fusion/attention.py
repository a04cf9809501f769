"""Finds attention in a graph: softmax of scaled products of queries and keys, times values, in any exporter's hand.

What is matched here is loose on purpose: the data's way from three projections to one output. Whether that *is*
attention, and with which mask, is found out in ``attention_proof`` by running it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from enxuto.graph.fusion.match import integers, last_axis, made_by, with_number
from enxuto.graph.weights import computed_array, in_default_domain, input_of

_HEADS_FIRST = (0, 2, 1, 3)
_LONGEST_WAY = 8
"""Nodes between a projection and the product that reads it."""


@dataclass(frozen=True)
class Attention:
    """One head-wise attention, from three projections [batch, sequence, heads · width] to one output of that shape."""

    query: ir.Value
    key: ir.Value
    value: ir.Value
    heads: int
    width: int
    """Of one head."""
    scale: float
    """That products of queries and keys are multiplied with."""
    bias: ir.Value | None
    """What is added to the scaled products, where it is an addition."""
    output: ir.Value
    flat: ir.Value | None
    """The shape that the output is brought to, where that is [batch · sequence, heads · width]."""


def attentions(graph: ir.Graph) -> Iterator[Attention]:
    """Everything in the graph itself that may be attention of a sequence to itself."""
    for node in list(graph):
        if node.op_type == "Softmax" and in_default_domain(node):
            found = _around(node)
            if found is not None:
                yield found


def _around(softmax: ir.Node) -> Attention | None:
    output, weighted = _forward(softmax.outputs[0])
    scores = _scores(softmax.inputs[0])
    if output is None or weighted is None or scores is None:
        return None
    product, bias, scale = scores
    query, key, value = (_split_heads(one) for one in (product.inputs[0], product.inputs[1], weighted.inputs[1]))
    if query is None or key is None or value is None or not query.heads == key.heads == value.heads:
        return None
    if not query.width == key.width == value.width or value.factor != 1:
        return None
    if len({_source(one.projection) for one in (query, key, value)}) != 1:
        return None  # one sequence attends to another
    factor = scale * query.factor * key.factor
    return Attention(
        query.projection, key.projection, value.projection, query.heads, query.width, factor, bias, output,
        _flat(output),
    )  # fmt: skip


def _flat(output: ir.Value) -> ir.Value | None:
    joined = output.producer()
    shape = input_of(joined, 1) if joined is not None else None
    length = shape.shape[0] if shape is not None and shape.shape is not None and len(shape.shape) == 1 else None
    return shape if length == 2 else None


def _forward(probabilities: ir.Value) -> tuple[ir.Value | None, ir.Node | None]:
    """The output with its heads joined again, and the product of probabilities and values."""
    reader = _past_guard(probabilities)
    if reader is None or reader.op_type != "MatMul" or reader.inputs[0] is None:
        return None, None
    turned = _reader(reader.outputs[0])
    if turned is not None and turned.op_type == "Reshape":  # to the shape that it has
        turned = _reader(turned.outputs[0])
    if turned is None or turned.op_type != "Transpose" or tuple(turned.attributes["perm"].as_ints()) != _HEADS_FIRST:
        return None, None
    joined = _reader(turned.outputs[0])
    if joined is None or joined.op_type != "Reshape" or joined.inputs[0] is not turned.outputs[0]:
        return None, None
    return joined.outputs[0], reader


def _past_guard(value: ir.Value) -> ir.Node | None:
    """The reader of probabilities, behind the guard that makes a row of nothing but masked scores zero.

    A converter that raises an older opset wraps the softmax into a Flatten and a Reshape.
    """
    for _ in range(4):
        readers = [node for node in value.consumers() if node.op_type != "IsNaN"]
        if len(readers) != 1 or value.is_graph_output() or len(value.consumers()) > 2:
            return None
        (reader,) = readers
        if reader.op_type in ("Where", "Identity", "Dropout", "Reshape", "Cast"):
            value = reader.outputs[0]
            continue
        return reader
    return None


def _scores(value: ir.Value | None) -> tuple[ir.Node, ir.Value | None, float] | None:
    """The product of queries and keys behind the softmax, what was added to it, and what it was scaled with."""
    bias, scale = None, 1.0
    for _ in range(_LONGEST_WAY):
        node = made_by(value, "MatMul", "Add", "Mul", "Div", "Where", "Identity", "Flatten")
        if node is None or value is None or _reader(value) is None:
            return None
        scaled = with_number(node) if node.op_type in ("Mul", "Div") else None
        if node.op_type == "MatMul":
            return node, bias, scale
        if scaled is not None:
            value, factor = scaled
            scale *= factor if node.op_type == "Mul" else 1 / factor
        elif node.op_type == "Add" and bias is None:
            value, bias = _product_first(node)
            bias = bias if scale == 1.0 else None  # scaled together with the products: no plain addition any more
        elif node.op_type == "Where":
            value = next((one for one in node.inputs[1:] if _leads_to_product(one)), None)
        elif node.op_type in ("Identity", "Flatten"):
            value = node.inputs[0]
        else:
            return None
    return None


def _reader(value: ir.Value) -> ir.Node | None:
    """The only one, apart from whoever asks for the shape alone."""
    readers = [node for node in value.consumers() if node.op_type != "Shape"]
    return readers[0] if len(readers) == 1 and not value.is_graph_output() else None


def _product_first(addition: ir.Node) -> tuple[ir.Value | None, ir.Value | None]:
    first, second = addition.inputs
    return (first, second) if _leads_to_product(first) else (second, first)


def _leads_to_product(value: ir.Value | None) -> bool:
    for _ in range(_LONGEST_WAY):
        node = made_by(value, "MatMul", "Mul", "Div", "Add", "Where")
        if node is None or node.op_type == "MatMul":
            return node is not None
        inputs = node.inputs[1:] if node.op_type == "Where" else node.inputs
        value = next((one for one in inputs if made_by(one, "MatMul", "Mul", "Div", "Add", "Where")), None)
    return False


@dataclass(frozen=True)
class _Heads:
    projection: ir.Value
    heads: int
    width: int
    factor: float


def _split_heads(value: ir.Value | None) -> _Heads | None:
    """The projection whose last axis is split into heads on the way to this value."""
    factor, split = 1.0, None
    for _ in range(_LONGEST_WAY):
        node = made_by(value, "Mul", "Div", "Transpose", "Reshape", "Identity")
        if node is None:
            break
        scaled = with_number(node) if node.op_type in ("Mul", "Div") else None
        if scaled is not None:
            value, number = scaled
            factor *= number if node.op_type == "Mul" else 1 / number
        elif node.op_type in ("Mul", "Div"):
            break
        else:
            value = node.inputs[0]
        if node.op_type == "Reshape":
            split = _last_two(input_of(node, 1), node.inputs[0]) or split
            if split is not None and _rank(node.inputs[0]) == 3:
                break
    if split is None or value is None:
        return None
    return _Heads(value, *split, factor)


def _last_two(shape: ir.Value | None, split: ir.Value | None) -> tuple[int, int] | None:
    """Heads and width, from a shape of four numbers that ends in them; one may be left for the runtime to find."""
    given = integers(shape)
    if given is None:
        node = made_by(shape, "Concat")
        parts = [] if node is None else [integers(part) or [0] for part in node.inputs]
        given = [0, 0, *(one for part in parts for one in part)]
    elif len(given) != 4:
        return None
    if min(given[-2], given[-1]) == 0:
        return None
    heads, width, whole = given[-2], given[-1], last_axis(split) or 0
    heads, width = (whole // width if heads < 0 else heads), (whole // heads if width < 0 else width)
    return (heads, width) if heads > 0 and width > 0 and whole in (0, heads * width) else None


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)


def _source(projection: ir.Value) -> ir.Value | None:
    """What a projection projects."""
    value: ir.Value | None = projection
    for _ in range(_LONGEST_WAY):
        node = made_by(value, "Add", "MatMul", "Split", "Gemm", "Slice", "Mul")
        if node is None:
            return value
        if node.op_type in ("MatMul", "Gemm"):
            return node.inputs[0] if computed_array(node.inputs[1]) is not None else value
        data = [one for one in node.inputs if computed_array(one) is None]
        if not data or (len(data) != 1 and node.op_type != "Slice"):
            return value
        value = data[0]
    return value
