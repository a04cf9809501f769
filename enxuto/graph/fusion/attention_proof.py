"""Finds out which mask an attention applies, by running it beside onnxruntime's own operator on made-up numbers.

Masks are written in dozens of ways, and each exporter's next version finds another. What they *do* has few forms: none,
no look ahead, no look at padding, both, or some other addition. So each form is tried, in this order, on random
projections and masks of several sizes, and the first that gives the same numbers is taken. Where none does, the
graph is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from enxuto.errors import BadInput
from enxuto.graph.fusion.attention import Attention, way_to_source
from enxuto.graph.fusion.match import behind, number
from enxuto.graph.fusion.region import Region, results
from enxuto.graph.fusion.trials import Layout, Trial, trials
from enxuto.graph.fusion.write_attention import Mask, as_protos, attention_steps

_TOLERANCE = 1e-5
"""Of outputs near 1: both add in their own order."""
_LOOSE_TOLERANCE = 0.01
"""Where everything is masked: a score added to −10,000 keeps three digits."""
_LOWEST = float(np.finfo(np.float32).min)
_MASKING = -1000.0
"""A constant below this is what masked scores become."""
_MASK_TYPES = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL, ir.DataType.FLOAT)
_RIVAL = "the_fused_attention"


def proven_mask(model: ir.Model, found: Attention, first: Mask | None, scratch: Path, seed: int) -> Mask | None:
    """The form that gives the numbers that the graph gives; None where none does, or where parts of it do not run.

    ``first`` is tried before the others: layers of a model mask alike.
    """
    region = Region(model, found.projections, found.output)
    drawn = trials(region, _layout(found), np.random.default_rng(seed)) if region.small() else []
    candidates = [*([first] if first is not None and first.added is None else []), *_masks(region, found)]
    return next((mask for mask in candidates if drawn and _agrees(region, found, mask, drawn, scratch)), None)


def _rival(found: Attention, mask: Mask, opset: int) -> list[onnx.NodeProto]:
    """Nodes that do the same if the mask is the right one."""
    if mask.padding is None:
        return as_protos(attention_steps(found, mask, opset), _RIVAL)
    cast = ir.val(f"{_RIVAL}_padding", ir.DataType.INT32)
    to = onnx.helper.make_node("Cast", [str(mask.padding.name)], [str(cast.name)], to=onnx.TensorProto.INT32)
    return [to, *as_protos(attention_steps(found, replace(mask, padding=cast), opset), _RIVAL)]


def _layout(found: Attention) -> Layout:
    widths = {part.projection: part.count * found.heads * found.width for part in found.parts}
    ways = {one: way_to_source(one) for one in found.projections}
    before = {value for way in ways.values() for value in way} if found.sequence_first else set()
    others = [] if not found.to_another else [found.key.projection, found.value.projection]
    return Layout(
        widths,
        frozenset(before),
        frozenset(value for one in others for value in ways[one]) if others else None,
        frozenset(ways[found.query.projection]),
    )


def _masks(region: Region, found: Attention) -> Iterator[Mask]:
    yield Mask(fill=_LOWEST)
    yield Mask(causal=True, fill=_LOWEST)
    for value in region.inputs:
        if value.producer() is None and _may_mask(value, found):
            for fill in dict.fromkeys([*_fills(region), _LOWEST]):
                yield Mask(padding=value, fill=fill)
                yield Mask(padding=value, causal=True, fill=fill)
    if found.bias is not None and _rank(found.bias) == 4:
        yield Mask(added=found.bias, fill=_LOWEST)


def _may_mask(value: ir.Value, found: Attention) -> bool:
    """A float that hidden states are computed from as well is a feature: the operator would cut off its fraction."""
    if value.dtype not in _MASK_TYPES or _rank(value) != 2:
        return False
    return value.dtype != ir.DataType.FLOAT or not any(
        value in node.inputs for projection in found.projections for node in behind(projection, set())
    )


def _fills(region: Region) -> list[float]:
    numbers = [number(value) for value in region.constants if value.dtype == ir.DataType.FLOAT]
    return [one for one in numbers if one is not None and _LOWEST <= one < _MASKING]


def _agrees(region: Region, found: Attention, mask: Mask, drawn: Sequence[Trial], scratch: Path) -> bool:
    try:
        loaded = region.beside(_rival(found, mask, region.opset), _RIVAL, scratch)
        return all(
            _same(*results(loaded, one.feeds), _LOOSE_TOLERANCE if one.all_masked else _TOLERANCE) for one in drawn
        )
    except BadInput:
        return False


def _same(expected: np.ndarray, given: np.ndarray, tolerance: float) -> bool:
    """Wherever the graph gives a number.

    A token that may look at nothing gets none, or zeros where the exporter guards against that; the operator gives it a
    mean. Such a token comes with a sample of nothing but padding.
    """
    counts = np.isfinite(expected) & expected.any(axis=-1, keepdims=True)
    return given.shape == expected.shape and np.allclose(given[counts], expected[counts], rtol=0, atol=tolerance)


def _rank(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)
