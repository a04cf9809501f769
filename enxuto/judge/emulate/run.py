"""Runs a quantized model with its integer sums as another processor adds them up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from enxuto.judge.emulate.fused import FusedGraph
from enxuto.judge.emulate.operators import Products
from enxuto.judge.emulate.pieces import Pieces
from enxuto.judge.emulate.products import Product
from enxuto.judge.emulate.sums import Adder, TooCostlyError
from enxuto.judge.fidelity import FidelityMeter
from enxuto.steps import Fidelity

Outputs = Mapping[str, np.ndarray]
MULTIPLIES = 2e11
"""Of an emulation; some ten seconds on one core."""


@dataclass(frozen=True)
class Emulated:
    """What came out of it, over all batches that were run."""

    samples: int
    there: Fidelity
    here: Fidelity
    saturated_share: float
    """Of the pairs of products that were looked at."""
    complete: bool
    """False where the multiplies that were allowed did not last."""


class Emulator:
    """The model with these products computed in NumPy and all else by ONNX Runtime."""

    def __init__(self, graph: FusedGraph, products: list[Product], *, saturate: bool, multiplies: float) -> None:
        self.adder = Adder(saturate, multiplies)
        constant = {product.node.output[0] for product in products if product.matrices is not None}
        nodes = [product.node for product in products]
        self._pieces = Pieces(graph, nodes, Products(self.adder, constant).compute)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises TooCostlyError once the multiplies are used up."""
        return self._pieces.run(feeds)


@dataclass(frozen=True)
class Batch:
    """What was fed, how many of its samples count, and what came out on this machine."""

    feeds: Mapping[str, np.ndarray]
    count: int
    original: Outputs
    quantized: Outputs


def emulate(emulator: Emulator, batches: Iterable[Batch], choosing: Collection[str]) -> Emulated:
    """Compare outputs there, and those here, with the original's; ``choosing`` names those that are class scores."""
    there, here = FidelityMeter(), FidelityMeter()
    samples, complete = 0, True
    for batch in batches:
        try:
            outputs = emulator.run(batch.feeds)
        except TooCostlyError:
            complete = False
            break
        for meter, given in ((there, outputs), (here, batch.quantized)):
            _compare(meter, given, batch, choosing)
        samples += batch.count
    adder = emulator.adder
    share = adder.saturated / adder.pairs if adder.pairs else 0.0
    return Emulated(samples, there.result(), here.result(), share, complete)


def _compare(meter: FidelityMeter, outputs: Outputs, batch: Batch, choosing: Collection[str]) -> None:
    """Outputs that the two models have in common, by name or, where they share none, by position."""
    names = dict(zip(outputs, outputs, strict=True))
    if not names.keys() & batch.original.keys() and len(outputs) == len(batch.original):
        names = dict(zip(outputs, batch.original, strict=True))
    kinds = "f" if any(array.dtype.kind == "f" for array in batch.original.values()) else "biu"
    for name, counterpart in names.items():
        original = batch.original.get(counterpart)
        if original is not None and original.shape == outputs[name].shape and original.dtype.kind in "biuf":
            kept = slice(batch.count) if original.ndim else ...
            if original.dtype.kind in kinds:  # chosen classes have no noise where there are scores
                meter.add(outputs[name][kept], original[kept])
            if counterpart in choosing:
                meter.add_choices(outputs[name][kept], original[kept])
