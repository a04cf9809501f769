"""Graph optimization by onnxscript's optimizer, within limits on size and with the signature kept.

Why onnxscript's: docs/decisions/0014-onnxscript-optimizes-graphs.md.
"""

from __future__ import annotations

import math
from collections import Counter

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import rewriter
from onnxscript.optimizer._constant_folding import (
    DEFAULT_CONSTANT_FOLD_INPUT_SIZE_LIMIT,
    DEFAULT_CONSTANT_FOLD_OUTPUT_SIZE_LIMIT,
    FoldConstantsPass,
)

from enxuto.graph.gemm import join_biases
from enxuto.graph.normalize import keep_signature, normalized, opset_of
from enxuto.graph.pools import means_as_pools
from enxuto.graph.scaling import merge_scaling
from enxuto.graph.weights import REARRANGEMENTS

_ROUNDS = 4
_RULES = tuple(rule for rule in rewriter._DEFAULT_REWRITE_RULES if rule.name != "SlicesSplit")
"""The library's, without the one that looks at every node of the graph for each node: it takes minutes on ten thousand,
and makes one Split of two Slices only where the second comes first in the file (onnxscript 0.7.2)."""
_SPARE_BYTES = 1024
"""That folding one node may add to the file."""
_SPARE_CAST_BYTES = 64
"""Likewise for a cast: a weight that is stored in few bits is meant to stay so."""


def optimized(model: ir.Model, *, scaling: bool = False) -> ir.Model:
    """A copy with constants folded, batch norms merged into convolutions, and no dead or duplicate nodes.

    With ``scaling`` what is scaled and shifted in front of a product is merged into that as well.
    """
    copy = normalized(model)
    declared = {value.name: (value.type, value.shape) for value in _node_outputs(copy)}
    _rewrite(copy)
    _without_allowzero(copy)
    join_biases(copy)
    means_as_pools(copy)
    if scaling:
        merge_scaling(copy)
    for value in _node_outputs(copy):  # what was inferred on the way would only make the file larger
        value.type, value.shape = declared.get(value.name, (None, None))
    keep_signature(model, copy)
    return copy


def _rewrite(model: ir.Model) -> None:
    """As ``onnxscript.optimizer.optimize_ir``, but for one of its rules."""
    ir.passes.Sequential(
        ir.passes.PassManager(
            [
                FoldConstantsPass(
                    shape_inference=True,
                    input_size_limit=DEFAULT_CONSTANT_FOLD_INPUT_SIZE_LIMIT,
                    output_size_limit=DEFAULT_CONSTANT_FOLD_OUTPUT_SIZE_LIMIT,
                    should_fold=_should_fold,
                ),
                rewriter.RewritePass(_RULES),
                passes.RemoveUnusedNodesPass(),
                passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
                passes.RemoveUnusedOpsetsPass(),
            ],
            steps=_ROUNDS,
            early_stop=True,
        ),
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    )(model)


def _without_allowzero(model: ir.Model) -> None:
    """One of the optimizer's rules writes this attribute of Reshape, whatever the opset; it came with 14."""
    if opset_of(model) < 14:
        for node in model.graph.all_nodes():
            if node.op_type == "Reshape":
                node.attributes.pop("allowzero", None)


def _node_outputs(model: ir.Model) -> list[ir.Value]:
    return [output for node in model.graph.all_nodes() for output in node.outputs]


def _should_fold(node: ir.Node) -> bool | None:
    """Never where the file would grow, always where a weight is only rearranged, else by the optimizer's own rules."""
    grown = _bytes_of_outputs(node) - _bytes_given_up(node)
    if math.isnan(grown):
        return None
    if grown > (_SPARE_CAST_BYTES if node.op_type == "Cast" else _SPARE_BYTES):
        return False
    return True if node.op_type in REARRANGEMENTS and grown <= 0 else None


def _bytes_given_up(node: ir.Node) -> float:
    """Of weights that nothing else reads."""
    values = {id(value): value for value in node.inputs if value is not None}.values()
    alone = [value for value in values if {id(use.node) for use in value.uses()} == {id(node)}]
    return sum(value.const_value.nbytes for value in alone if value.const_value is not None)


def _bytes_of_outputs(node: ir.Node) -> float:
    """NaN where shapes are not known."""
    total = 0.0
    for output in node.outputs:
        if output.shape is None or output.dtype is None or not output.shape.is_static():
            return math.nan
        total += math.prod(output.shape.numpy()) * output.dtype.itemsize
    return total


def difference(before: ir.Model, after: ir.Model) -> str:
    """Which nodes became fewer and which more; empty where none did."""
    old, new = _operators(before), _operators(after)
    changes = [f"{op} {old[op]} → {new[op]}" for op in sorted(old | new) if old[op] != new[op]]
    return f"{old.total()} → {new.total()} nodes: {', '.join(changes)}." if changes else ""


def _operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.all_nodes())
