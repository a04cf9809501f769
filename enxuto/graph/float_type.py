"""Another floating-point type for a whole graph: what a model computes in, with casts at its borders.

Inputs and outputs keep their types. A node stays as it was, between casts, where the specification gives it no such
type, where it comes from a domain that nobody here knows, and where the caller says so. Infinities and numbers beyond
what the new type holds become its largest, and what would vanish its smallest: masks stay masks, and an epsilon above
zero stays above zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.errors import NotApplicable
from enxuto.graph.edit import Editor
from enxuto.graph.normalize import opset_of
from enxuto.graph.weights import array_of, in_default_domain

_TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_datatype"})
_NAMES = {ir.DataType.FLOAT: "tensor(float)", ir.DataType.FLOAT16: "tensor(float16)"}
_NOT_OF_TENSORS = frozenset(
    {
        "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt", "SequenceConstruct",
        "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence",
    }
)  # fmt: skip
_TAKE_A_LIMIT = frozenset({"Add", "Sub", "Where", "Max", "Min", "Clip", "Pad"})
"""With these a huge number means "none of this": the largest of the type does as well."""


@dataclass
class Changed:
    computing: int = 0
    """Nodes that now compute in the new type."""
    kept: list[str] = field(default_factory=list)
    """Operator types of nodes that still compute in the old one."""


def change_float_type(
    model: ir.Model, source: ir.DataType, target: ir.DataType, keep: Callable[[ir.Node], bool] = lambda _: False
) -> Changed:
    """Edit a normalized model in place.

    Raises:
        NotApplicable: types that cannot be told, or values that are no tensors (``types_not_known``).
    """
    passes.ShapeInferencePass()(model)
    return _Change(model, source, target, keep).make()


class _Change:
    def __init__(
        self, model: ir.Model, source: ir.DataType, target: ir.DataType, keep: Callable[[ir.Node], bool]
    ) -> None:
        self._model = model
        self._opset = min(opset_of(model), onnx.defs.onnx_opset_version())
        self._source, self._target = source, target
        self._values = {value for value in _values(model) if value.dtype == source}
        self._nodes = list(model.graph.all_nodes())
        self._kept = {node for node in self._nodes if self._stays(node) or keep(node)}
        self._held: set[ir.Value] = set()
        """Values that keep the old type."""
        self._editor = Editor(model.graph)
        """One for all graphs, since a name may stand only once in a model and the graphs within it."""
        self._casts: dict[tuple[int, int], ir.Value] = {}

    def make(self) -> Changed:
        graph = self._model.graph
        for value in graph.inputs:
            if value in self._values:
                self._hold(value, graph, None)
        for node in self._nodes:
            for position, output in enumerate(node.outputs):
                if output in self._values and self._fixed(node, position, outputs=True):
                    self._hold(output, _graph_of(node), node)
        for value in dict.fromkeys(graph.outputs):
            if value in self._values and value.is_initializer():
                self._hold(value, graph, None)
        for node in self._nodes:
            self._restore_inputs(node)
        self._restore_outputs()
        for value in self._values - self._held:
            self._retype(value)
        changing = self._values - self._held
        computing = [
            node for node in self._nodes if node not in self._kept and any(out in changing for out in node.outputs)
        ]
        for node in computing:
            self._change_attributes(node)
        touched = [node for node in self._kept if self._values.intersection([*node.inputs, *node.outputs])]
        return Changed(len(computing), sorted({node.op_type for node in touched}))

    def _stays(self, node: ir.Node) -> bool:
        """Whether the node as a whole has no such type."""
        ports = [value for value in (*node.inputs, *node.outputs) if value is not None]
        if not in_default_domain(node):
            return any(value in self._values for value in ports)
        if node.op_type in _NOT_OF_TENSORS:
            raise _not_known(f"'{node.name}' works on sequences or optional values")
        if any(output.dtype is None for output in node.outputs if output.name and output.uses()):
            raise _not_known(f"the type of what '{node.name}' gives is not known")
        variables = {one.type_param_str: one.allowed_type_strs for one in self._schema(node).type_constraints}
        formal = [
            self._formal(node, at, outputs=False) for at, value in enumerate(node.inputs) if value in self._values
        ]
        formal += [
            self._formal(node, at, outputs=True) for at, value in enumerate(node.outputs) if value in self._values
        ]
        if any(kind in variables and _NAMES[self._target] not in variables[kind] for kind in formal):
            return True
        return any(self._too_large(node, value) for value in node.inputs)

    def _too_large(self, node: ir.Node, value: ir.Value | None) -> bool:
        """Whether a weight has numbers beyond the new type that mean more than a limit."""
        if value is None or value not in self._values or not value.is_initializer() or node.op_type in _TAKE_A_LIMIT:
            return False
        array = array_of(value)
        largest = float(np.finfo(self._target.numpy()).max)
        return array.size > 1 and bool((np.abs(array[np.isfinite(array)].astype(np.float64)) > largest).any())

    def _fixed(self, node: ir.Node, position: int, *, outputs: bool) -> bool:
        """Whether an input or output of a node has the old type whatever the others have."""
        if node in self._kept:
            return True
        if outputs and node.op_type.startswith("Random") and "dtype" not in node.attributes:
            return True
        return self._formal(node, position, outputs=outputs) == _NAMES[self._source]

    def _schema(self, node: ir.Node) -> onnx.defs.OpSchema:
        return onnx.defs.get_schema(node.op_type, self._opset, "")

    def _formal(self, node: ir.Node, position: int, *, outputs: bool) -> str:
        ports = self._schema(node).outputs if outputs else self._schema(node).inputs
        return str(ports[min(position, len(ports) - 1)].type_str)

    def _hold(self, value: ir.Value, graph: ir.Graph, producer: ir.Node | None) -> None:
        """Keep the type of this value, and give a cast one to whoever computes in the new type."""
        self._held.add(value)
        readers = [use for use in value.uses() if not self._fixed(use.node, use.idx, outputs=False)]
        inner_outputs = [
            (one, at)
            for one in self._model.graph.subgraphs()
            for at, output in enumerate(one.outputs)
            if output is value
        ]
        if not readers and not inner_outputs:
            return
        cast = self._cast(value, self._target, "narrow")
        if producer is None:
            graph.insert_before(graph[0], [cast])
        else:
            graph.insert_after(producer, [cast])
        for use in readers:
            use.node.replace_input_with(use.idx, cast.outputs[0])
        for one, at in inner_outputs:
            one.outputs[at] = cast.outputs[0]

    def _restore_inputs(self, node: ir.Node) -> None:
        """Casts in front of a node that keeps the old type."""
        for position, value in enumerate(node.inputs):
            if value is None or value not in self._values or value in self._held:
                continue
            if self._fixed(node, position, outputs=False):
                node.replace_input_with(position, self._in_old_type(value, node))

    def _in_old_type(self, value: ir.Value, node: ir.Node) -> ir.Value:
        graph = _graph_of(node)
        key = (id(value), id(graph))
        if key not in self._casts:
            if value.is_initializer():
                name = self._editor.free_name(f"{value.name}_kept")
                copy = ir.val(name, const_value=ir.tensor(array_of(value), dtype=self._source, name=name))
                graph.register_initializer(copy)
                self._casts[key] = copy
            else:
                cast = self._cast(value, self._source, "wide")
                graph.insert_before(node, [cast])
                self._casts[key] = cast.outputs[0]
        return self._casts[key]

    def _restore_outputs(self) -> None:
        """The model's outputs keep their types and names."""
        graph = self._model.graph
        for position, value in enumerate(graph.outputs):
            if value not in self._values or value in self._held:
                continue
            name = str(value.name)
            cast = self._cast(value, self._source, "wide")
            graph.append(cast)
            value.name = self._editor.free_name(f"{name}_inner")
            cast.outputs[0].name = name
            cast.outputs[0].shape = value.shape
            graph.outputs[position] = cast.outputs[0]

    def _retype(self, value: ir.Value) -> None:
        if value.is_initializer() and value.const_value is not None:
            array = _converted(array_of(value), self._target)
            value.const_value = ir.tensor(array, dtype=self._target, name=value.name)
        value.type = ir.TensorType(self._target)

    def _change_attributes(self, node: ir.Node) -> None:
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == self._source:
                array = _converted(attribute.as_tensor().numpy(), self._target)
                node.attributes[name] = ir.AttrTensor(name, ir.tensor(array, dtype=self._target))
            elif name in _TYPE_ATTRIBUTES and attribute.as_int() == int(self._source):
                node.attributes[name] = ir.AttrInt64(name, int(self._target))
        if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
            zero = ir.tensor(np.zeros(1, self._target.numpy()), dtype=self._target)
            node.attributes["value"] = ir.AttrTensor("value", zero)

    def _cast(self, value: ir.Value, kind: ir.DataType, role: str) -> ir.Node:
        cast = self._editor.node("Cast", [value], f"{value.name}_{role}", attributes={"to": int(kind)})
        cast.outputs[0].type = ir.TensorType(kind)
        return cast


def _values(model: ir.Model) -> Iterator[ir.Value]:
    for graph in model.graphs():
        yield from graph.inputs
        yield from graph.initializers.values()
        for node in graph:
            yield from node.outputs


def _converted(array: np.ndarray, target: ir.DataType) -> np.ndarray:
    limits = np.finfo(target.numpy())
    largest, smallest = float(limits.max), float(limits.smallest_subnormal)
    held = np.clip(array.astype(np.float64), -largest, largest)  # a NaN stays one
    held = np.where((held != 0) & (np.abs(held) < smallest), np.copysign(smallest, held), held)
    return np.asarray(held.astype(target.numpy()))


def _graph_of(node: ir.Node) -> ir.Graph:
    if not isinstance(node.graph, ir.Graph):
        raise TypeError(f"'{node.name}' is in no graph")
    return node.graph


def _not_known(why: str) -> NotApplicable:
    return NotApplicable(
        f"The type that this model computes in cannot be changed: {why}.",
        code="types_not_known",
        hint="Leave this technique out of the recipe.",
    )
