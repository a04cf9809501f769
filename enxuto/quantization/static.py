"""Static INT8: weights and activations in integers, with ranges from calibration samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.errors import NotApplicable
from enxuto.graph.normalize import opset_of
from enxuto.graph.pools import pools_as_means
from enxuto.processor import Processor
from enxuto.quantization.affine import ActivationType, Range, takes_integers
from enxuto.quantization.calibrate import observe
from enxuto.quantization.equalize import equalize, scaled_statistics, without_upper_bound
from enxuto.quantization.kept import guard_kept
from enxuto.quantization.kernel_ends import Layout
from enxuto.quantization.linear import Linear, linears
from enxuto.quantization.placement import Placement, place
from enxuto.quantization.points import OPERATORS, operators_of, points_of, prepared
from enxuto.quantization.processors import weight_limit
from enxuto.quantization.qdq import Scheme, Seen, insert
from enxuto.quantization.range_choice import RangeChoice, range_of
from enxuto.quantization.recurrent import lstms, quantize_lstm
from enxuto.quantization.rounding import Rounding
from enxuto.quantization.scores import score_products
from enxuto.quantization.statistics import Statistics, TensorStatistics
from enxuto.quantization.tables import store_tables
from enxuto.quantization.transposed import store_transposed, transposed_elements
from enxuto.techniques.base import Context

_FEWEST_CHANNELS = 4
"""Below it an integer convolution fills its vectors badly."""


@dataclass(frozen=True)
class Options:
    ranges: RangeChoice
    per_channel: bool
    rounding: Rounding
    bias_correction: bool
    equalization: bool
    float_stem: bool
    embeddings: bool
    recurrent: bool
    """Whether LSTM layers are quantized at run time."""
    layout: Layout
    processor: Processor
    exclude: frozenset[str]
    """Names of nodes and operator types that stay in floating point."""


@dataclass(frozen=True)
class Quantized:
    model: ir.Model
    notes: list[str]


def scheme_for(
    processor: Processor, *, per_channel: bool, rounding: Rounding = "nearest", layout: Layout = "onnxruntime"
) -> Scheme:
    """U8 × S8 on x86, S8 × S8 on ARM."""
    activations: ActivationType = "int8" if processor == "arm" else "uint8"
    return Scheme(activations, processor == "x86_avx2", per_channel, rounding, layout == "onnxruntime")


def quantize_static(model: ir.Model, seen: Statistics | None, options: Options, context: Context) -> Quantized:
    """``seen``: what a calibration of this very model found; what it lacks is taken from the calibration samples.

    Raises:
        NotApplicable: nothing is left to be quantized, or there is nothing to take ranges from.
    """
    model = prepared(model, context)
    found = list(linears(model.graph, operators_of(options.layout)))
    settled = _settle(model, found, frozenset(), seen.tensors if seen else {}, options, context)
    if options.equalization and (context.calibration is not None or not options.ranges.wants_histograms):
        known = _equalized(model, settled.placement, found, settled.tensors, options, context)
        found = list(linears(model.graph, operators_of(options.layout)))
        settled = _settle(model, found, settled.lost, known, options, context)
    placement, tensors, lost = settled.placement, settled.tensors, settled.lost
    if not placement.linears and not transposed_elements(model.graph, options.exclude):
        raise NotApplicable(
            "No convolution or matrix product is left to compute in integers.",
            code="nothing_to_quantize",
            hint="Exclude fewer nodes, and check that activations on the calibration samples are finite.",
        )
    scheme = scheme_for(
        options.processor, per_channel=options.per_channel, rounding=options.rounding, layout=options.layout
    )
    notes = _notes(model.graph, found, placement, scheme, lost)
    insert(model.graph, placement, Seen(settled.ranges, _means(tensors) if options.bias_correction else {}), scheme)
    if options.layout == "onnxruntime":
        guard_kept(model.graph)
        pools_as_means(model.graph, opset_of(model), set(placement.followers))
    if transposed := store_transposed(model.graph, options.exclude):
        notes.append(f"Weights of transposed convolutions stored in int8, and restored at load: {transposed}.")
    if options.embeddings and (stored := store_tables(model.graph)):
        notes.append(f"Embedding tables stored in int8, with a scale for each row: {stored}.")
    if options.recurrent and (layers := _recurrent(model, options)):
        notes.append(f"LSTM layers that compute in integers, with activations quantized at run time: {layers}.")
    ir.passes.Sequential(passes.DeduplicateInitializersPass(), passes.RemoveUnusedNodesPass())(model)
    return Quantized(model, notes)


def _recurrent(model: ir.Model, options: Options) -> int:
    layers = [each for each in lstms(model.graph) if not options.exclude & {str(each.node.name), each.node.op_type}]
    limit = weight_limit(options.processor)
    for layer in layers:
        quantize_lstm(model, layer, per_channel=options.per_channel, weight_limit=limit)
    return len(layers)


def _kept(graph: ir.Graph, found: Sequence[Linear], options: Options) -> set[ir.Node]:
    kept = {node for node in graph if options.exclude & {str(node.name), node.op_type}}
    if options.float_stem:
        kept |= {one.node for one in found if _reads_few_channels(one)}
    if options.processor != "x86_vnni":  # on others nobody has seen it pay
        kept |= set(score_products(graph))
    return kept


def _reads_few_channels(linear: Linear) -> bool:
    group = linear.node.attributes.get("group")
    alone = group is None or group.as_int() == 1
    return linear.node.op_type == "Conv" and alone and linear.weight.shape[1] < _FEWEST_CHANNELS


@dataclass(frozen=True)
class _Settled:
    placement: Placement
    tensors: Mapping[str, TensorStatistics]
    ranges: Mapping[str, Range]
    lost: frozenset[ir.Value]
    """Tensors without a range, which the placement stays clear of."""


def _settle(
    model: ir.Model,
    found: Sequence[Linear],
    lost: frozenset[ir.Value],
    known: Mapping[str, TensorStatistics],
    options: Options,
    context: Context,
) -> _Settled:
    """Where quantization goes if it touches nothing lost: whatever is found to be so sends it elsewhere, where other
    tensors are looked at."""
    kept = _kept(model.graph, found, options)
    while True:
        placement = place(model.graph, found, kept, lost, options.layout)
        known = _tensors(model, placement, known, options, context)
        ranges = _ranges(placement, known, options)
        more = {tensor for tensor, root in placement.range_of.items() if root.name not in ranges}
        if not more:
            return _Settled(placement, known, ranges, lost)
        lost |= more


def _tensors(
    model: ir.Model,
    placement: Placement,
    known: Mapping[str, TensorStatistics],
    options: Options,
    context: Context,
) -> dict[str, TensorStatistics]:
    """Of all tensors that are to be quantized; what was not seen before is looked at now."""
    names = [
        str(value.name) for value in (placement.tensors if options.bias_correction else placement.range_of.values())
    ]
    tensors = dict(known)
    missing = [name for name in dict.fromkeys(names) if name not in tensors]
    if missing:
        if context.calibration is None:
            raise NotApplicable(
                "Ranges come from calibration data, and the job brings none.",
                code="calibration_data_missing",
                hint="Give a dataset for evaluation or calibration.",
            )
        axes = points_of(model)
        points = {name: axes.get(name, -1) for name in missing}
        histograms = options.ranges.wants_histograms
        tensors |= observe(model, points, context.calibration, context, histograms=histograms).tensors
    return tensors


def _equalized(
    model: ir.Model,
    placement: Placement,
    found: list[Linear],
    tensors: Mapping[str, TensorStatistics],
    options: Options,
    context: Context,
) -> dict[str, TensorStatistics]:
    """What is known of the tensors afterwards; histograms of all channels cannot be scaled but are made anew."""
    done = equalize(model.graph, placement, found, tensors)
    known = {name: one for name, one in tensors.items() if name not in done.factors}
    if options.ranges.wants_histograms:
        known = _tensors(model, placement, known, options, context)
    else:
        scaled = {name: scaled_statistics(tensors[name], by) for name, by in done.factors.items() if name in tensors}
        known |= {name: one for name, one in scaled.items() if one is not None}
    for clip in done.clips:
        without_upper_bound(clip)
    return known


def _ranges(placement: Placement, tensors: Mapping[str, TensorStatistics], options: Options) -> dict[str, Range]:
    """By name of the tensor that a range is taken from. Left out: tensors that took values which are not finite, or
    which integers cannot stand for."""
    names = dict.fromkeys(str(root.name) for root in placement.range_of.values())
    chosen = {name: range_of(tensors[name], options.ranges) for name in names if name in tensors}
    return {name: found for name, found in chosen.items() if found is not None and takes_integers(_ends(found))}


def _ends(values: Range) -> np.ndarray:
    return np.array([values.low, values.high])


def _means(tensors: Mapping[str, TensorStatistics]) -> dict[str, np.ndarray]:
    return {name: seen.channels.mean for name, seen in tensors.items() if seen.channels is not None}


def _notes(
    graph: ir.Graph, found: list[Linear], placement: Placement, scheme: Scheme, lost: AbstractSet[ir.Value]
) -> list[str]:
    each = "a scale for each output channel" if scheme.per_channel else "one scale for each weight"
    bits = "8 bits, less where two of them would saturate" if scheme.pairs_saturate else "8 bits"
    notes = [
        f"Convolutions and matrix products that compute in integers: {len(placement.linears)} of {len(found)}; other "
        f"nodes: {len(placement.followers)}. Activations are {scheme.activations}, weights int8 ({bits}, {each})."
    ]
    if placement.products:
        notes.append(f"Products of queries and keys that compute in integers, of int8: {len(placement.products)}.")
    if lost:
        notes.append(
            "Tensors that took values which are not finite, or which integers cannot stand for, so that what touches "
            f"them stays in float32: {len(lost)}."
        )
    inside = sum(node.op_type in OPERATORS for node in graph.all_nodes()) - sum(n.op_type in OPERATORS for n in graph)
    if inside:
        notes.append(f"Convolutions and matrix products inside control flow are left alone: {inside}.")
    return notes
