"""Finds attention in a graph: softmax of scaled products of queries and keys, times values, in any exporter's hand.

What is matched here is loose on purpose: the data's way from three projections to one output. Whether that *is*
attention, and with which mask, is found out in ``attention_proof`` by running it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from enxuto.graph.fusion.heads import Part, Projected, heads_and_width, split_alone, taken_out
from enxuto.graph.fusion.match import made_by, with_number
from enxuto.graph.weights import computed_array, in_default_domain, input_of

_HEADS_FIRST = (0, 2, 1, 3)
_SEQUENCE_FIRST = (2, 0, 1, 3)
_LONGEST_WAY = 8
"""Nodes between a projection and the product that reads it."""


@dataclass(frozen=True)
class Attention:
    """One head-wise attention, from three projections [batch, sequence, heads · width] to one output of that shape.

    Where the sequence comes first, projections and output are [sequence, batch, …].
    """

    query: Part
    key: Part
    value: Part
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
    sequence_first: bool = False

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        return self.query, self.key, self.value

    @property
    def to_another(self) -> bool:
        """Whether keys and values are of another sequence than queries."""
        return source_of(self.query.projection) is not source_of(self.key.projection)

    @property
    def projections(self) -> list[ir.Value]:
        """Each once."""
        return list(dict.fromkeys(part.projection for part in self.parts))


def attentions(graph: ir.Graph) -> Iterator[Attention]:
    """Everything in the graph itself that may be attention; the same softmax in more than one reading, where it has."""
    for node in list(graph):
        if node.op_type == "Softmax" and in_default_domain(node):
            yield from _around(node)


def _around(softmax: ir.Node) -> Iterator[Attention]:
    output, weighted, sequence_first = _forward(softmax.outputs[0])
    scores = _scores(softmax.inputs[0])
    if output is None or weighted is None or scores is None:
        return
    product, bias, scale = scores
    for query, key, value in _readings(product.inputs[0], product.inputs[1], weighted.inputs[1]):
        factor = scale * query.factor * key.factor
        yield Attention(
            query.part, key.part, value.part, query.heads, query.width, factor, bias, output, _flat(output),
            sequence_first,
        )  # fmt: skip


def _readings(*operands: ir.Value | None) -> Iterator[tuple[Projected, Projected, Projected]]:
    """Queries, keys and values as projections of their own, and as parts of what holds others as well."""
    alone = [split_alone(one) for one in operands]
    shape = heads_and_width(operands[0])
    together = [taken_out(one, *shape) for one in operands] if shape is not None else []
    for found in (alone, together):
        projected = [one for one in found if one is not None]
        if len(projected) == 3 and _fit(*projected):
            query, key, value = projected
            yield query, key, value


def _fit(query: Projected, key: Projected, value: Projected) -> bool:
    """Whether these may be queries, keys and values of one attention, of a sequence to itself or to another."""
    alike = query.heads == key.heads == value.heads and query.width == key.width == value.width
    sources = {source_of(one.part.projection) for one in (key, value)}
    return alike and value.factor == 1 and len(sources) == 1


def _flat(output: ir.Value) -> ir.Value | None:
    joined = output.producer()
    shape = input_of(joined, 1) if joined is not None else None
    length = shape.shape[0] if shape is not None and shape.shape is not None and len(shape.shape) == 1 else None
    return shape if length == 2 else None


def _forward(probabilities: ir.Value) -> tuple[ir.Value | None, ir.Node | None, bool]:
    """The output with its heads joined again, the product of probabilities and values, and whether the sequence comes
    first in the output."""
    nothing = None, None, False
    reader = _past_guard(probabilities)
    if reader is None or reader.op_type != "MatMul" or reader.inputs[0] is None:
        return nothing
    turned = _reader(reader.outputs[0])
    if turned is not None and turned.op_type == "Reshape":  # to the shape that it has
        turned = _reader(turned.outputs[0])
    order = turned.attributes.get("perm") if turned is not None and turned.op_type == "Transpose" else None
    if turned is None or order is None or tuple(order.as_ints()) not in (_HEADS_FIRST, _SEQUENCE_FIRST):
        return nothing
    joined = _reader(turned.outputs[0])
    if joined is None or joined.op_type != "Reshape" or joined.inputs[0] is not turned.outputs[0]:
        return nothing
    return joined.outputs[0], reader, tuple(order.as_ints()) == _SEQUENCE_FIRST


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


def source_of(projection: ir.Value) -> ir.Value:
    """What a projection projects."""
    return way_to_source(projection)[-1]


def way_to_source(projection: ir.Value) -> list[ir.Value]:
    """From a projection back to what it projects; all have the same axes in front of the last one."""
    way = [projection]
    for _ in range(_LONGEST_WAY):
        node = made_by(way[-1], "Add", "MatMul", "Split", "Gemm", "Slice", "Mul")
        if node is None:
            return way
        if node.op_type in ("MatMul", "Gemm"):
            return [*way, node.inputs[0]] if computed_array(node.inputs[1]) is not None and node.inputs[0] else way
        data = [one for one in node.inputs if one is not None and computed_array(one) is None]
        if not data or (len(data) != 1 and node.op_type != "Slice"):
            return way
        way.append(data[0])
    return way
