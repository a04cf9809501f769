"""SmoothQuant: factors of every group, and a whole model in W8A8, against the authors' code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from bench.references.case import Batches, Real, bytes_of, outputs, sqnr_db
from bench.references.place import Place, Reference
from enxuto.graph.apply import apply_technique
from enxuto.graph.edit import Editor
from enxuto.quantization.calibrate import observe
from enxuto.quantization.linear import Linear, linears
from enxuto.quantization.smooth import OPERATORS, Group, factors, groups
from enxuto.techniques import Work
from enxuto.techniques.dynamic_int8 import DynamicInt8
from enxuto.techniques.smooth_quant import SmoothQuant

METHOD = "SmoothQuant"
REFERENCE = Reference("mit-han-lab/smoothquant", "smoothquant", ("torch", "transformers", "onnx"), "c61476d")
_ALPHA = 0.5
_MOST_SAMPLES = 16
"""Of those that judge: onnx's reference evaluator takes its time."""
_PRODUCTS = frozenset({"MatMul"})


def suits(model: ir.Model) -> bool:
    return bool(groups(model.graph, behind_norms_only=True))


def compare(real: Real, place: Place) -> Iterator[str]:
    found = groups(real.model.graph, behind_norms_only=True)
    seen = {name: np.abs(array).reshape(-1, array.shape[-1]).max(axis=0) for name, array in _inputs(real, found)}
    given: dict[str, np.ndarray] = {}
    for group in found:
        name = str(group.data.name)
        given |= {f"{name}|peaks": seen[name], f"{name}|alpha": np.array(_ALPHA)}
        given |= {f"{name}|weight{i:03d}": _by_outputs(one) for i, one in enumerate(group.readers)}
    theirs = place.ask(REFERENCE, given)
    axes, context = dict.fromkeys(seen, -1), real.context()
    tensors = observe(real.model, axes, Batches(real.calibration), context, histograms=False).tensors
    ours = {}
    for group in found:
        name, channels = str(group.data.name), tensors[str(group.data.name)].channels
        if channels is not None:
            ours[name] = factors(channels.peak, [_by_outputs(one).T for one in group.readers], _ALPHA)
    apart = max(float(np.abs(ours[name] / theirs[name] - 1).max()) for name in theirs)
    count = sum(each.size for each in ours.values())
    yield f"{count:,} factors of {len(found)} groups, α = {_ALPHA}: the furthest apart by {apart:.1g} of its size"
    yield _whole_models(real, place, found, theirs)


def _whole_models(real: Real, place: Place, found: list[Group], theirs: Mapping[str, np.ndarray]) -> str:
    feeds = {name: array[:_MOST_SAMPLES] for name, array in real.evaluation.items()}
    expected = outputs(real.model, feeds)
    factor_of = {one.node.outputs[0].name: theirs[str(group.data.name)] for group in found for one in group.readers}
    answer = place.ask(REFERENCE, feeds, bytes_of(_with_their_products(real.model, factor_of)))
    after = [answer[str(i)] for i in range(len(expected))]
    plain = place.ask(REFERENCE, feeds, bytes_of(_with_their_products(real.model, {})))
    before = [plain[str(i)] for i in range(len(expected))]
    exclude = sorted(OPERATORS - _PRODUCTS)
    integer = DynamicInt8(embeddings=False, exclude=exclude)
    context = real.context()
    mine_before = apply_technique(integer, Work(real.model.clone()), context)
    smoothed = apply_technique(SmoothQuant(alpha=_ALPHA), Work(real.model.clone()), context)
    mine = outputs(apply_technique(integer, smoothed, context).model, feeds)
    return (
        f"whole model in W8A8, a scale for each output of a weight and one for an input: "
        f"{sqnr_db(outputs(mine_before.model, feeds), expected):.1f} dB before and {sqnr_db(mine, expected):.1f} "
        f"after, theirs {sqnr_db(before, expected):.1f} and {sqnr_db(after, expected):.1f}"
    )


def _with_their_products(model: ir.Model, factor_of: Mapping[str | None, np.ndarray]) -> ir.Model:
    copy = model.clone()
    editor = Editor(copy.graph)
    for one in list(linears(copy.graph, _PRODUCTS)):
        output = one.node.outputs[0]
        name, weight = str(output.name), _by_outputs(one)
        scales = factor_of.get(name, np.ones(weight.shape[1], np.float32)).astype(np.float32)
        inputs = [one.node.inputs[0], editor.weight(f"{name}_w", weight), editor.weight(f"{name}_s", scales)]
        node = ir.node("W8A8", inputs, domain="theirs", name=f"{name}_w8a8")
        node.outputs[0].type, node.outputs[0].shape = output.type, output.shape
        copy.graph.insert_before(one.node, node)
        output.replace_all_uses_with(node.outputs[0], replace_graph_outputs=True)
        copy.graph.remove(one.node, safe=True)
    copy.graph.opset_imports["theirs"] = 1
    return copy


def _inputs(real: Real, found: list[Group]) -> Iterator[tuple[str, np.ndarray]]:
    yield from real.inner([str(group.data.name) for group in found]).items()


def _by_outputs(linear: Linear) -> np.ndarray:
    """[outputs, inputs]"""
    return np.ascontiguousarray(linear.weight if linear.channel_axis == 0 else linear.weight.T)
