"""Lets a model hand out tensors between its inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir


def exposed(model: ir.Model, names: Collection[str]) -> ir.Model:
    """A copy with these tensors of the main graph as further outputs, in the graph's order.

    Names that no node writes are passed over. A type that is not written down is left to the runtime, which knows it.
    """
    copy, wanted = model.clone(), frozenset(names)
    for node in copy.graph:
        for output in node.outputs:
            if output.name in wanted and not output.is_graph_output():
                copy.graph.outputs.append(output)
    return copy
