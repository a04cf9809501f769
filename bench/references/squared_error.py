"""Ranges of least squared error against PyTorch's ``HistogramObserver``, by the error that they leave on all values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from bench.references.activations import activations, seen
from bench.references.case import Real
from bench.references.place import Place, Reference
from enxuto.quantization.affine import Range, for_range
from enxuto.quantization.range_choice import RangeChoice, range_of

METHOD = "ranges of least squared error"
REFERENCE = Reference("pytorch/pytorch", "torch", ("torch",))
_BATCH = 32


def suits(model: ir.Model) -> bool:
    return any(node.op_type == "Conv" for node in model.graph)


def compare(real: Real, place: Place) -> Iterator[str]:
    chosen = activations(real)
    theirs = place.ask(REFERENCE, {**chosen, "|batch": np.array(_BATCH)})
    for name, array in chosen.items():
        ours = range_of(seen(array, _BATCH), RangeChoice("mse"))
        if ours is None:
            continue
        other = Range(*(float(end) for end in theirs[name]))
        widest = Range(float(array.min()), float(array.max()))
        yield (
            f"{name}, {array.size:,} values from {widest.low:.3g} to {widest.high:.3g}: {_words(ours, array)}, theirs "
            f"{_words(other, array)}, best of a grid {_words(_best_of_all(widest, array), array)}, of everything "
            f"{_loss_db(widest, array):.2f} dB"
        )


def _words(kept: Range, array: np.ndarray) -> str:
    return f"{kept.low:.3f} to {kept.high:.3f} ({_loss_db(kept, array):.2f} dB)"


def _loss_db(kept: Range, array: np.ndarray) -> float:
    affine = for_range(kept, "uint8")
    back = (affine.quantize(array).astype(np.float64) - affine.zero_point) * affine.scale
    return float(10 * np.log10(np.square(array.astype(np.float64)).sum() / np.square(back - array).sum()))


def _best_of_all(widest: Range, array: np.ndarray) -> Range:
    """By trying: a grid over both ends, on all values."""
    shares = np.linspace(0.05, 1, 39)
    lows = shares if widest.low < 0 else np.ones(1)
    few = array.reshape(-1)[:: max(array.size // 200_000, 1)]
    tried = [Range(min(widest.low, 0.0) * low, widest.high * high) for low in lows for high in shares]
    return max(tried, key=lambda kept: _loss_db(kept, few))
