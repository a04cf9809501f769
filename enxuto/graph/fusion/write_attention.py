"""The nodes that attention is written as: onnxruntime's operator, and what brings its inputs and its output into form.

Listed without a graph, since they are written twice: beside the original for the proof, and into the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.fusion.attention import Attention

_NUM_OUTPUTS_OPSET = 18
"""The first where Split wants to be told how many parts it makes."""
_SWAPPED = [1, 0, 2]
_OUTPUT = "output"

Attribute = int | float | list[int]


@dataclass(frozen=True)
class Step:
    """One node; a text among the inputs names what a step before it makes."""

    op_type: str
    inputs: tuple[ir.Value | str | None, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    domain: str = ""


@dataclass(frozen=True)
class Mask:
    """How scores are masked."""

    causal: bool = False
    """No look ahead."""
    padding: ir.Value | None = None
    """[batch, sequence], 0 where there is nothing to look at."""
    added: ir.Value | None = None
    """Added to scores as it is; broadcasts to [batch, heads, sequence, sequence]."""
    fill: float = 0.0
    """What is added to masked scores: tells what happens in a row where all are masked."""


def attention_steps(found: Attention, mask: Mask, opset: int) -> list[Step]:
    """In order; the last one makes ``output``. ``mask.padding`` is int32."""
    taken = [*_take_out(found, opset)]
    inputs = (*_projected(found), None, mask.padding, mask.added)
    while inputs[-1] is None:
        inputs = inputs[:-1]
    attributes: dict[str, Attribute] = {
        "num_heads": found.heads, "scale": found.scale, "mask_filter_value": mask.fill,
    }  # fmt: skip
    if mask.causal:
        attributes["unidirectional"] = 1
    return [*taken, *_brought_back(found, inputs, attributes)]


def _projected(found: Attention) -> tuple[ir.Value | str, ...]:
    plain = not found.sequence_first
    return tuple(
        part.projection if plain and part.count == 1 else _name(found, part.projection, part.position)
        for part in found.parts
    )


def _name(found: Attention, projection: ir.Value, position: int) -> str:
    return f"part_{found.projections.index(projection)}_{position}"


def _take_out(found: Attention, opset: int) -> Iterator[Step]:
    """The batch first, and the parts apart."""
    for number, projection in enumerate(found.projections):
        count = max(part.count for part in found.parts if part.projection is projection)
        data: ir.Value | str = projection
        if found.sequence_first:
            data = f"turned_{number}" if count > 1 else _name(found, projection, 0)
            yield Step("Transpose", (projection,), (data,), {"perm": _SWAPPED})
        if count > 1:
            attributes: dict[str, Attribute] = {"axis": 2}
            if opset >= _NUM_OUTPUTS_OPSET:
                attributes["num_outputs"] = count
            yield Step("Split", (data,), tuple(_name(found, projection, one) for one in range(count)), attributes)


def _brought_back(
    found: Attention, inputs: tuple[ir.Value | str | None, ...], attributes: Mapping[str, Attribute]
) -> list[Step]:
    names = ["attended", *(["back"] if found.sequence_first else []), *(["laid"] if found.flat is not None else [])]
    names[-1] = _OUTPUT
    steps = [Step("MultiHeadAttention", inputs, (names[0],), attributes, "com.microsoft")]
    if found.sequence_first:
        steps.append(Step("Transpose", (names[0],), (names[1],), {"perm": _SWAPPED}))
    if found.flat is not None:
        steps.append(Step("Reshape", (names[-2], found.flat), (_OUTPUT,)))
    return steps


def as_protos(steps: list[Step], prefix: str) -> list[onnx.NodeProto]:
    """What the last one makes is called ``prefix``."""

    def name(value: ir.Value | str | None) -> str:
        if isinstance(value, str):
            return prefix if value == _OUTPUT else f"{prefix}_{value}"
        return "" if value is None else str(value.name)

    nodes = []
    for step in steps:
        inputs, outputs = [name(one) for one in step.inputs], [name(one) for one in step.outputs]
        node = onnx.helper.make_node(step.op_type, inputs, outputs, domain=step.domain)
        node.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in step.attributes.items())
        nodes.append(node)
    return nodes


def as_nodes(steps: list[Step], editor: Editor, prefix: str) -> list[ir.Node]:
    """Not in the graph yet."""
    made: dict[str, ir.Value] = {}
    nodes = []
    for step in steps:
        inputs = [made[one] if isinstance(one, str) else one for one in step.inputs]
        node = editor.node(
            step.op_type, inputs, f"{prefix}_{step.outputs[0]}", step.domain,
            outputs=len(step.outputs), attributes={**step.attributes},
        )  # fmt: skip
        made |= dict(zip(step.outputs, node.outputs, strict=True))
        nodes.append(node)
    return nodes
