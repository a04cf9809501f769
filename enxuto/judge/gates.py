"""One model that computes parts of a graph either as before or as after a change, as gates say.

Each part has a boolean input of its own. So the error of every layer alone, and of any mixture, comes from calls of one
loaded model: loading anew for each layer takes far longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of
from enxuto.judge.changes import ChangedLayer, Comparison

Part = ChangedLayer | str
"""A layer, or a quantized tensor by its name."""


def name_of(part: Part) -> str:
    return part if isinstance(part, str) else part.outputs[0]


def gated(
    original: ir.Model, comparison: Comparison, opsets: Mapping[str, int], parts: Sequence[Part]
) -> tuple[ir.Model, list[str]]:
    """The original with gates for these parts, and the name of each part's input: a boolean, true for as after.

    ``comparison`` is that of the original's graph with the changed one, whose opsets are ``opsets``.
    """
    copy = original.clone()
    for domain, version in opsets.items():
        copy.opset_imports.setdefault(domain, version)
    gating = _Gating(copy.graph, comparison)
    for part in parts:
        if isinstance(part, str):  # before the layers, which read them
            gating.tensor(part)
    for part in parts:
        if isinstance(part, ChangedLayer):
            gating.layer(part)
    copy.graph.sort()
    return copy, [gating.gates[name_of(part), isinstance(part, str)] for part in parts]


class _Gating:
    def __init__(self, graph: ir.Graph, comparison: Comparison) -> None:
        self.gates: dict[tuple[str, bool], str] = {}
        self._graph = graph
        self._comparison = comparison
        self._editor = Editor(graph)
        made = [output for node in graph for output in node.outputs]
        self._values = {str(value.name): value for value in (*graph.inputs, *made)}
        self._coarse: dict[str, ir.Value] = {}
        """Quantized tensors as layers read them."""
        self._copies: dict[ir.Value, ir.Value] = {}
        self._scaling: dict[ir.Value, ir.Node] = {}

    def tensor(self, name: str) -> None:
        value = self._values[name]
        quantize, restore = self._comparison.quantization_of(name)
        copied = self._scaled(name, value)
        for node in (quantize, restore):
            self._copy_node(node, [copied, *(read and self._copy(read) for read in node.inputs[1:])])
            copied = self._copies[node.outputs[0]]
        copied = self._scaled(name, copied, back=True)
        chosen = self._choose((name, True), copied, value)
        self._coarse[name] = chosen.outputs[0]
        copies = {chosen, self._copies[quantize.outputs[0]].producer(), self._scaling.get(value)}
        for use in value.uses():
            if use.node not in copies:
                use.node.replace_input_with(use.idx, chosen.outputs[0])
        if any(self._comparison.restored.get(output) == name for output in self._comparison.after.outputs):
            self._hand_over(value, chosen.outputs[0])

    def layer(self, layer: ChangedLayer) -> None:
        for name in layer.outputs:
            value = self._values[name]
            after = self._comparison.region_after(name)[0]
            self._copy_producer(after)
            copied = self._scaled(name, self._copies[after], back=True)
            chosen = self._choose((layer.outputs[0], False), copied, value)
            for use in value.uses():
                if use.node is not chosen:
                    use.node.replace_input_with(use.idx, chosen.outputs[0])
            self._hand_over(value, chosen.outputs[0])
            self._values[name] = chosen.outputs[0]

    def _choose(self, key: tuple[str, bool], changed: ir.Value, value: ir.Value) -> ir.Node:
        if key not in self.gates:
            gate = ir.val(self._editor.free_name("gate"), ir.DataType.BOOL, [])
            self._graph.inputs.append(gate)
            self.gates[key] = str(gate.name)
        gate = next(one for one in self._graph.inputs if one.name == self.gates[key])
        chosen = self._editor.node("Where", [gate, changed, value], f"{value.name}_chosen")
        self._graph.append(chosen)
        return chosen

    def _copy(self, after: ir.Value) -> ir.Value:
        """What stands for a tensor of the graph after; its nodes are copied where the graph has none that do."""
        if after in self._comparison.known:
            name = self._comparison.known[after]
            return self._scaled(name, self._values[name])
        if after in self._comparison.restored:
            name = self._comparison.restored[after]
            return self._scaled(name, self._coarse.get(name) or self._values[name])
        if after not in self._copies:
            self._copy_producer(after)
        return self._copies[after]

    def _scaled(self, name: str, value: ir.Value, *, back: bool = False) -> ir.Value:
        """As the graph after holds this tensor, or back from there."""
        factors = self._comparison.factors.get(name)
        if factors is None:
            return value
        by = self._editor.weight(f"{name}_factors", (1 / factors if back else factors).astype(np.float32))
        scaling = self._editor.node("Mul", [value, by], f"{value.name}_scaled")
        self._graph.append(scaling)
        if not back:
            self._scaling[value] = scaling
        return scaling.outputs[0]

    def _copy_producer(self, after: ir.Value) -> None:
        node = after.producer()
        if node is None:
            self._copies[after] = self._editor.weight(str(after.name), array_of(after), after.dtype)
            return
        self._copy_node(node, [read and self._copy(read) for read in node.inputs])

    def _copy_node(self, node: ir.Node, inputs: Sequence[ir.Value | None]) -> None:
        copied = ir.Node(
            node.domain, node.op_type, inputs, list(node.attributes.values()), num_outputs=len(node.outputs),
            name=self._editor.free_name(str(node.name)),
        )  # fmt: skip
        for old, new in zip(node.outputs, copied.outputs, strict=True):
            new.name = self._editor.free_name(f"{old.name}_after") if old.name else ""
            self._copies[old] = new
        self._graph.append(copied)

    def _hand_over(self, value: ir.Value, chosen: ir.Value) -> None:
        """Let the chosen tensor be the graph's output, under its name."""
        if not value.is_graph_output():
            return
        name, chosen.type, chosen.shape = value.name, value.type, value.shape
        value.name = self._editor.free_name(f"{name}_before")
        chosen.name = name
        for position, output in enumerate(self._graph.outputs):
            if output is value:
                self._graph.outputs[position] = chosen
