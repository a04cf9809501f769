"""What each layer takes, before and after it is quantized, told from the profiles of both models."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from enxuto.judge.node_groups import HELPERS, group_nodes
from enxuto.report import LayerScore
from enxuto.steps import LayerSensitivity, ModelProfile, NodeProfile

_COPY = re.compile(r"(_u?int8|_real|_before_quantization)$")
"""What techniques put behind the name of a tensor that they quantize."""
_QUANTIZES = ("QuantizeLinear", "DequantizeLinear", "Quantize", "FakeQuantize")
_US_A_BYTE = 4e-5
"""Of float32, to quantize or restore it, as seen on a processor with AVX-512. A profile that shows such nodes tells
better."""
_PASSES = 2.5
"""A border is crossed by such a node and by others that change how the data lies, in blocks or in rows of channels."""
_US_A_BORDER = 1.0


def layer_scores(
    layers: Sequence[LayerSensitivity], before: ModelProfile | None = None, after: ModelProfile | None = None
) -> list[LayerScore]:
    """Sensitivities with the times of both models, whose runtime and workload are the same.

    ``after`` is the model with all of these layers quantized. A node that stands for several layers is shared out
    evenly; what quantizes and restores a tensor belongs to the layers that want it quantized.
    """
    if before is None or after is None:
        return [_score(layer) for layer in layers]
    first, second = _times(layers, before.nodes, after.nodes)
    borders = _borders(layers, before.nodes, after.nodes)
    told = first.keys() | second.keys()
    return [
        _score(layer, first.get(layer.name, 0.0), second.get(layer.name, 0.0), borders.get(layer.name))
        if layer.name in told
        else _score(layer)
        for layer in layers
    ]


def _score(
    layer: LayerSensitivity,
    before_us: float | None = None,
    after_us: float | None = None,
    border_us: float | None = None,
) -> LayerScore:
    known = layer.model_dump(exclude={"nodes"})
    return LayerScore(**known, before_us=before_us, after_us=after_us, border_us=border_us)


def _times(
    layers: Sequence[LayerSensitivity], before: Sequence[NodeProfile], after: Sequence[NodeProfile]
) -> tuple[dict[str, float], dict[str, float]]:
    claims = _Claims(layers)
    groups = group_nodes(before, after)
    owners = [[claims.of(node) for node in nodes] for nodes in (before, after)]
    of_group: dict[str, dict[str, None]] = defaultdict(dict)
    for nodes, names, found in zip((before, after), groups, owners, strict=True):
        for node, name, claimed in zip(nodes, names, found, strict=True):
            if node.op_type not in HELPERS:
                of_group[name].update(claimed)
    first, second = (
        _sums(nodes, [claims.computing(own or of_group[name]) for own, name in zip(found, names, strict=True)])
        for nodes, found, names in zip((before, after), owners, groups, strict=True)
    )
    return first, second


class _Claims:
    """Which layers a node stands for."""

    def __init__(self, layers: Sequence[LayerSensitivity]) -> None:
        self._by_node: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_tensor: dict[str, dict[str, None]] = defaultdict(dict)
        self._following = {layer.name for layer in layers if layer.follows}
        for layer in layers:
            for name in (layer.name, *layer.nodes):
                self._by_node[name][layer.name] = None
            for tensor in layer.tensor_noise:
                self._by_tensor[tensor][layer.name] = None

    def of(self, node: NodeProfile) -> dict[str, None]:
        named = {name: None for each in node.origin for name in self._by_node.get(each, {})}
        if named or node.tensor is None or node.op_type not in HELPERS:
            return named
        return self._by_tensor.get(_COPY.sub("", node.tensor), {})

    def computing(self, claimed: Mapping[str, None]) -> list[str]:
        """Without the sums and pools that were fused into what is before them: they take next to nothing there."""
        return [name for name in claimed if name not in self._following] or list(claimed)


def _sums(nodes: Sequence[NodeProfile], owners: Sequence[Sequence[str]]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for node, claimed in zip(nodes, owners, strict=True):
        for name in claimed:
            found[name] += 1000 * node.ms / len(claimed)
    return dict(found)


def _borders(
    layers: Sequence[LayerSensitivity], before: Sequence[NodeProfile], after: Sequence[NodeProfile]
) -> dict[str, float]:
    """By the bytes that a layer writes in float, and what nodes that quantize take a byte."""
    rate = _us_a_byte(after)
    by_origin = {name: node for node in before for name in node.origin}
    found = {}
    for layer in layers:
        node = by_origin.get(layer.name)
        if node is not None and node.output_bytes is not None:
            found[layer.name] = _US_A_BORDER + _PASSES * node.output_bytes * rate
    return found


def _us_a_byte(nodes: Sequence[NodeProfile]) -> float:
    seen = [node for node in nodes if node.op_type in _QUANTIZES and node.output_bytes]
    wide = sum((node.output_bytes or 0) * (4 if node.op_type.startswith("Q") else 1) for node in seen)
    return 1000 * sum(node.ms for node in seen) / wide if wide > 1 << 18 else _US_A_BYTE
