"""Lays the tokens of a batch end to end, without the padding between them, for everything that treats a token alone.

Attention still sees [batch, sequence, …]: rows are put back in front of it and picked again behind it.

Source: the idea is that of ByteTransformer (Zhai et al., 2023) and NVIDIA's Effective Transformer.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.padding.tokenwise import TokenWise


class Packing:
    """Edits one normalized graph in place. ``mask`` [batch, sequence] is 0 at padding."""

    def __init__(self, graph: ir.Graph, mask: ir.Value) -> None:
        self._editor = Editor(graph)
        self._graph = graph
        self._mask = mask
        self._head: list[ir.Node] = []
        self._tokens, self._places, self._kept = self._indices()
        writer = mask.producer()
        if writer is None:
            graph.insert_before(graph[0], self._head)
        else:
            graph.insert_after(writer, self._head)

    def pack(self, part: TokenWise) -> None:
        """Rewrite the part to hold tokens alone, [tokens, width]."""
        packed = {value: self._pack_entry(value, part) for value in part.entries}
        for node in (*part.nodes, *part.attentions):
            for position, value in enumerate(node.inputs):
                if value in packed:
                    node.replace_input_with(position, packed[value])
            if node.attributes.get("axis") is not None:
                node.attributes["axis"] = ir.AttrInt64("axis", -1)
            for output in node.outputs:  # what was known of it held for another rank
                output.shape = None
        for node in part.attentions:
            self._around(node)
        inside = {*part.nodes, *part.attentions, *packed_nodes(packed)}
        for value in part.exits:
            self._unpack_exit(value, inside)

    def _indices(self) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Of tokens among all positions; of every position's row among the tokens; and 1 or 0 for every position.

        The first position of a sample is always kept, so that none is left without any.
        """
        weight, mask = self._editor.weight, self._mask
        first, one, rest = weight("pack_first", np.array([0])), weight("pack_one", np.array([1])), None
        head = self._made("Slice", [mask, first, one, one], "pack_head")
        ones = self._made("Or", [self._boolean(head), weight("pack_true", np.array([[True]]))], "pack_ones")
        last = weight("pack_end", np.array([np.iinfo(np.int64).max]))
        rest = self._boolean(self._made("Slice", [mask, one, last, one], "pack_rest"))
        kept = self._made("Concat", [ones, rest], "pack_kept", axis=1)
        flat = self._made("Reshape", [kept, weight("pack_flat", np.array([-1]))], "pack_kept_flat")
        places = self._made("NonZero", [flat], "pack_places")
        tokens = self._made("Squeeze", [places, first], "pack_tokens")
        counted = self._made("Cast", [flat], "pack_counted", to=int(ir.DataType.INT32))
        running = self._made("CumSum", [counted, weight("pack_axis", np.array(0))], "pack_running")
        before = self._made("Sub", [running, weight("pack_less", np.array([1], dtype=np.int32))], "pack_before")
        shape = self._made("Shape", [mask], "pack_shape")
        rows = self._made("Reshape", [before, shape], "pack_rows")
        return tokens, rows, kept

    def _boolean(self, value: ir.Value) -> ir.Value:
        return self._made("Cast", [value], f"{value.name}_bool", to=int(ir.DataType.BOOL))

    def _made(self, op_type: str, inputs: list[ir.Value | None], name: str, **attributes: int) -> ir.Value:
        node = self._editor.node(op_type, inputs, name, attributes={**attributes})
        self._head.append(node)
        return node.outputs[0]

    def _pack_entry(self, value: ir.Value, part: TokenWise) -> ir.Value:
        nodes = self._picked(value)
        order = {node: position for position, node in enumerate(self._graph)}
        readers = [node for node in value.consumers() if node in {*part.nodes, *part.attentions}]
        self._graph.insert_before(min(readers, key=lambda node: order[node]), nodes)
        return nodes[-1].outputs[0]

    def _picked(self, value: ir.Value) -> list[ir.Node]:
        """[batch, sequence, width] → [tokens, width]"""
        flat = self._editor.node("Flatten", [value], f"{value.name}_flat", attributes={"axis": 2})
        name = f"{value.name}_tokens"
        return [flat, self._editor.node("Gather", [flat.outputs[0], self._tokens], name, attributes={"axis": 0})]

    def _spread(self, value: ir.Value) -> ir.Node:
        """[tokens, width] → [batch, sequence, width], with some token's numbers at padding."""
        return self._editor.node("Gather", [value, self._places], f"{value.name}_spread", attributes={"axis": 0})

    def _around(self, attention: ir.Node) -> None:
        for position in range(3):
            value = attention.inputs[position]
            if value is not None:
                spread = self._spread(value)
                self._graph.insert_before(attention, spread)
                attention.replace_input_with(position, spread.outputs[0])
        result = attention.outputs[0]
        readers = list(result.uses())
        nodes = self._picked(result)
        self._graph.insert_after(attention, nodes)
        for use in readers:
            use.node.replace_input_with(use.idx, nodes[-1].outputs[0])

    def _unpack_exit(self, value: ir.Value, inside: set[ir.Node]) -> None:
        """Zeros at padding."""
        outside = [use for use in value.uses() if use.node not in inside]
        if not outside:
            return
        spread = self._spread(value)
        axis = self._editor.weight("pack_width", np.array([2]))
        wide = self._editor.node("Unsqueeze", [self._kept, axis], f"{value.name}_kept")
        zero = self._editor.weight("pack_zero", np.array(0, dtype=np.float32))
        clean = self._editor.node("Where", [wide.outputs[0], spread.outputs[0], zero], f"{value.name}_unpacked")
        writer = value.producer()
        if writer is None:
            return
        self._graph.insert_after(writer, [spread, wide, clean])
        for use in outside:
            use.node.replace_input_with(use.idx, clean.outputs[0])


def packed_nodes(packed: dict[ir.Value, ir.Value]) -> set[ir.Node]:
    return {node for value in packed.values() if (node := value.producer()) is not None}
