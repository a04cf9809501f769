"""Entropy and percentile: the ranges that onnxruntime's calibrator finds for the same values, all at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from bench.references.activations import activations, seen
from bench.references.case import Real
from bench.references.place import Place, Reference
from enxuto.quantization.range_choice import Method, RangeChoice, range_of

METHOD = "ranges by entropy and percentile"
REFERENCE = Reference("microsoft/onnxruntime", "onnxruntime", ("onnxruntime",))
_BATCH, _BINS, _PERCENTILE = 32, 2048, 99.99
_METHODS: tuple[Method, ...] = ("entropy", "percentile")


def suits(model: ir.Model) -> bool:
    return any(node.op_type == "Conv" for node in model.graph)


def compare(real: Real, place: Place) -> Iterator[str]:
    chosen = activations(real)
    theirs = place.ask(REFERENCE, {**chosen, "|bins": np.array(_BINS), "|percentile": np.array(_PERCENTILE)})
    for method in _METHODS:
        words = []
        for name, array in chosen.items():
            ours = range_of(seen(array, _BATCH), RangeChoice(method, _PERCENTILE))
            low, high = theirs[f"{name}|{method}"]
            if ours is not None:
                words.append(f"{name} {ours.low:.3f} to {ours.high:.3f}, theirs {low:.3f} to {high:.3f}")
        yield f"{method}: {'; '.join(words)}"
