"""Small edits that every method needs: names that are free, new weights, nodes in front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
import onnx_ir as ir

from enxuto.graph.weights import in_default_domain


class Editor:
    """Adds to one graph of a normalized model, without ever taking a name twice."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._taken = _names(graph)
        self._next: dict[str, int] = {}
        """Number to try next, by name wanted: a name that is taken stays so."""
        self._nodes = 0

    def free_name(self, wanted: str) -> str:
        """``wanted``, or ``wanted_2``, ``wanted_3``, … where it is taken."""
        name = wanted
        for number in count(self._next.get(wanted, 2)):
            if name not in self._taken:
                break
            name = f"{wanted}_{number}"
            self._next[wanted] = number + 1
        self._taken.add(name)
        return name

    def weight(self, name: str, array: np.ndarray, dtype: ir.DataType | None = None) -> ir.Value:
        """A new initializer."""
        free = self.free_name(name)
        value = ir.val(free, const_value=ir.tensor(np.asarray(array, order="C"), dtype=dtype, name=free))
        self.graph.register_initializer(value)
        return value

    def node(
        self, op_type: str, inputs: Sequence[ir.Value | None], name: str, domain: str = "", *, outputs: int = 1,
        attributes: dict[str, int | float | str | list[int]] | None = None,
    ) -> ir.Node:  # fmt: skip
        """A node that is not in the graph yet, its outputs named after it. Its own name is short: names take space."""
        node = ir.node(op_type, inputs, attributes, domain=domain, num_outputs=outputs, name=self._free_number(op_type))
        for position, output in enumerate(node.outputs):
            output.name = self.free_name(f"{name}_{position}" if position else name)
        return node

    def _free_number(self, op_type: str) -> str:
        self._nodes += 1
        return self.free_name(f"{op_type}_{self._nodes}")

    def replace(self, node: ir.Node, new: Sequence[ir.Node]) -> None:
        """Put new nodes where one was; the last one's output takes over its place and name."""
        old, result = node.outputs[0], new[-1].outputs[0]
        result.type, result.shape = old.type, old.shape
        self.graph.insert_before(node, new)
        old.replace_all_uses_with(result, replace_graph_outputs=True)
        self.graph.remove(node, safe=True)
        name, old.name = old.name, None
        result.name = name

    def drop_if_unused(self, value: ir.Value) -> None:
        """Forget an initializer that nothing reads any more."""
        if value.is_initializer() and not value.uses() and not value.is_graph_output() and value.name:
            del self.graph.initializers[value.name]


def drop_identities(graph: ir.Graph) -> None:
    """Let everybody read what an Identity of the graph itself reads.

    What it hands out stays, since names of outputs do, and so do those of branches and bodies: what a branch hands out
    must be made in it (``onnx_ir``'s pass, 1.1, gives it the outer value instead).
    """
    for node in graph:
        if node.op_type != "Identity" or not in_default_domain(node) or node.inputs[0] is None:
            continue
        if not node.outputs[0].is_graph_output():
            node.outputs[0].replace_all_uses_with(node.inputs[0])
            graph.remove(node, safe=True)


def _names(graph: ir.Graph) -> set[str]:
    names: set[str | None] = {value.name for value in graph.inputs}
    for node in graph.all_nodes():
        names.add(node.name)
        names.update(output.name for output in node.outputs)
    for part in (graph, *graph.subgraphs()):
        names.update(part.initializers)
        names.update(value.name for value in part.inputs)
    return {name for name in names if name}
