"""Writes sizes that a model fixes as the numbers that they are, where an exporter computes them at run time.

The older exporter of torch asks every tensor for its shape, takes a size out of it and computes with that: heads from
widths, scales from heads. Where the axis has a fixed length all of it is a constant, which patterns can read.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript.optimizer import fold_constants

from enxuto.graph.edit import Editor, drop_identities
from enxuto.graph.fusion.match import integers, made_by, number
from enxuto.graph.weights import array_of, input_of, is_constant

_MOST_ROUNDS = 12
"""Each tells the shapes of one more layer, where inference stopped at what was computed."""
_LARGEST_ELEMENTS = 1024
"""Of what is folded: sizes, and what is computed from them."""


def fold_sizes(model: ir.Model) -> int:
    """Edit a normalized model in place, shapes inferred; returns how many were written as numbers."""
    folded = 0
    for _ in range(_MOST_ROUNDS):
        passes.ShapeInferencePass(check_type=False, strict_mode=False)(model)
        editor, found = Editor(model.graph), 0
        for node in list(model.graph):
            known = _known(node)
            if known is not None:
                _replace(editor, node, known)
                found += 1
        if not found:
            break
        folded += found
        fold_constants(model, should_fold=_is_small)
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        drop_identities(model.graph)
        passes.RemoveUnusedNodesPass()(model)
    return folded


def _known(node: ir.Node) -> np.ndarray | None:
    """The sizes that a Gather or Slice takes out of a shape, where all of them are fixed."""
    shape = made_by(node.inputs[0], "Shape") if node.op_type in ("Gather", "Slice") and node.inputs else None
    data = shape.inputs[0] if shape is not None else None
    if shape is None or data is None or data.shape is None or {"start", "end"} & set(shape.attributes):
        return None
    sizes = list(data.shape)
    taken = _gathered(node, sizes) if node.op_type == "Gather" else _sliced(node, sizes)
    if taken is None or not all(isinstance(size, int) for size in (taken if isinstance(taken, list) else [taken])):
        return None
    return np.array(taken, dtype=np.int64)


def _gathered(
    node: ir.Node, sizes: list[int | ir.SymbolicDim]
) -> int | ir.SymbolicDim | list[int | ir.SymbolicDim] | None:
    index = input_of(node, 1)
    if number(index) is None or index is None:
        return None
    (position,) = integers(index) or [len(sizes)]
    if not -len(sizes) <= position < len(sizes):
        return None
    return sizes[position] if array_of(index).ndim == 0 else [sizes[position]]


def _sliced(node: ir.Node, sizes: list[int | ir.SymbolicDim]) -> list[int | ir.SymbolicDim] | None:
    given = [integers(input_of(node, position)) for position in (1, 2)]
    steps = input_of(node, 4)
    if any(one is None or len(one) != 1 for one in given) or (steps is not None and integers(steps) != [1]):
        return None
    (first,), (last,) = (one or [0] for one in given)
    return sizes[first:last]


def _replace(editor: Editor, node: ir.Node, array: np.ndarray) -> None:
    output = node.outputs[0]
    if output.is_graph_output():
        return
    output.replace_all_uses_with(editor.weight(f"{output.name}_size", array))
    editor.graph.remove(node, safe=True)


def _is_small(node: ir.Node) -> bool | None:
    """Weights are left as they are stored."""
    arrays = [value for value in node.inputs if value is not None and is_constant(value)]
    return None if all(array_of(value).size <= _LARGEST_ELEMENTS for value in arrays) else False
