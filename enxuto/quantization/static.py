"""Static INT8: weights and activations in integers, with ranges from calibration samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.errors import NotApplicable
from enxuto.graph.opset import with_opset
from enxuto.graph.optimize import optimized
from enxuto.quantization.affine import ActivationType, Range
from enxuto.quantization.calibrate import ranges
from enxuto.quantization.linear import Linear, linears
from enxuto.quantization.observe import Histogram, MinMax, Observer
from enxuto.quantization.placement import Placement, place
from enxuto.quantization.processors import is_arm, weight_limit
from enxuto.quantization.qdq import Scheme, insert
from enxuto.quantization.tables import store_tables
from enxuto.techniques.base import Batches, Context

OPERATORS = frozenset({"Conv", "Gemm", "MatMul"})
_OPSET = 13
"""The first with a scale for each channel."""
_FEWEST_CHANNELS = 4
"""Below it an integer convolution fills its vectors badly."""


@dataclass(frozen=True)
class Options:
    percentile: float | None
    """None takes the smallest and the largest value."""
    per_channel: bool
    float_stem: bool
    embeddings: bool
    exclude: frozenset[str]
    """Names of nodes and operator types that stay in floating point."""


@dataclass(frozen=True)
class Quantized:
    model: ir.Model
    notes: list[str]


def scheme_for(instruction_sets: frozenset[str], *, per_channel: bool) -> Scheme:
    """U8 × S8 on x86, S8 × S8 on ARM."""
    activations: ActivationType = "int8" if is_arm(instruction_sets) else "uint8"
    return Scheme(activations, weight_limit(instruction_sets), per_channel)


def quantize_static(model: ir.Model, batches: Batches, options: Options, context: Context) -> Quantized:
    """Raises NotApplicable where nothing is left to be quantized."""
    model = optimized(with_opset(model, _OPSET, context))
    found = list(linears(model.graph, OPERATORS))
    kept = _kept(model.graph, found, options)
    placement = place(model.graph, found, kept)
    seen = _observe(model, placement, batches, options, context)
    lost = {tensor for tensor, root in placement.range_of.items() if root.name not in seen}
    if lost:
        placement = place(model.graph, found, kept, lost)
    if not placement.linears:
        raise NotApplicable(
            "No convolution or matrix product is left to compute in integers.",
            code="nothing_to_quantize",
            hint="Exclude fewer nodes, and check that activations on the calibration samples are finite.",
        )
    scheme = scheme_for(context.instruction_sets, per_channel=options.per_channel)
    notes = _notes(model.graph, found, placement, scheme, lost)
    insert(model.graph, placement, seen, scheme)
    if options.embeddings and (stored := store_tables(model.graph)):
        notes.append(f"Embedding tables stored in int8, with a scale for each row: {stored}.")
    ir.passes.Sequential(passes.DeduplicateInitializersPass(), passes.RemoveUnusedNodesPass())(model)
    return Quantized(model, notes)


def _kept(graph: ir.Graph, found: list[Linear], options: Options) -> set[ir.Node]:
    kept = {node for node in graph if options.exclude & {str(node.name), node.op_type}}
    if options.float_stem:
        kept |= {one.node for one in found if _reads_few_channels(one)}
    return kept


def _reads_few_channels(linear: Linear) -> bool:
    group = linear.node.attributes.get("group")
    alone = group is None or group.as_int() == 1
    return linear.node.op_type == "Conv" and alone and linear.weight.shape[1] < _FEWEST_CHANNELS


def _observe(
    model: ir.Model, placement: Placement, batches: Batches, options: Options, context: Context
) -> dict[str, Range]:
    names = list(dict.fromkeys(str(root.name) for root in placement.range_of.values()))
    percentile = options.percentile
    observer: Callable[[], Observer] = MinMax if percentile is None else lambda: Histogram(percentile)
    return ranges(model, names, batches, observer, context)


def _notes(
    graph: ir.Graph, found: list[Linear], placement: Placement, scheme: Scheme, lost: set[ir.Value]
) -> list[str]:
    each = "a scale for each output channel" if scheme.per_channel else "one scale for each weight"
    bits = 8 if scheme.weight_limit > 63 else 7
    notes = [
        f"Convolutions and matrix products that compute in integers: {len(placement.linears)} of {len(found)}; other "
        f"nodes: {len(placement.followers)}. Activations are {scheme.activations}, weights int8 ({bits} bits, {each})."
    ]
    if lost:
        notes.append(
            f"Tensors that took values which are not finite, so that what touches them stays in float32: {len(lost)}."
        )
    inside = sum(node.op_type in OPERATORS for node in graph.all_nodes()) - sum(n.op_type in OPERATORS for n in graph)
    if inside:
        notes.append(f"Convolutions and matrix products inside control flow are left alone: {inside}.")
    return notes
