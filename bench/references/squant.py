"""SQuant: integers of every weight of a network against those of the authors' code, from the same steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from bench.references.case import Real, named, outputs, sqnr_db, with_weights
from bench.references.place import Place, Reference
from enxuto.quantization.affine import WEIGHT_LIMIT, spread, weight_scales
from enxuto.quantization.linear import Linear
from enxuto.quantization.rounding import rounded

METHOD = "SQuant"
REFERENCE = Reference("clevercool/SQuant", "SQuant", ("torch",), "9cc77fc")
_OPERATORS = frozenset({"Conv", "Gemm"})


def suits(model: ir.Model) -> bool:
    return any(node.op_type == "Conv" for node in model.graph)


def compare(real: Real, place: Place) -> Iterator[str]:
    linears = named(real.model, _OPERATORS)
    scales = {name: weight_scales(one.weight, one.channel_axis, WEIGHT_LIMIT) for name, one in linears.items()}
    steps = {
        name: np.moveaxis(one.weight / spread(scales[name], one.weight.ndim, one.channel_axis), one.channel_axis, 0)
        for name, one in linears.items()
    }
    theirs = place.ask(REFERENCE, {name: each.astype(np.float32) for name, each in steps.items()})
    ours = {name: rounded(each, WEIGHT_LIMIT, "squant") for name, each in steps.items()}
    nearest = {name: rounded(each, WEIGHT_LIMIT, "nearest") for name, each in steps.items()}
    total = sum(each.size for each in ours.values())
    equal = sum(int((ours[name] == theirs[name]).sum()) for name in ours)
    moved = sum(int((ours[name] != nearest[name]).sum()) for name in ours)
    expected = outputs(real.model, real.evaluation)

    def judged(integers: dict[str, np.ndarray]) -> float:
        weights = {name: _real(linears[name], scales[name], integers[name]) for name in integers}
        return sqnr_db(outputs(with_weights(real.model, weights), real.evaluation), expected)

    yield (
        f"{equal / total:.4%} of {total:,} integers equal ({moved / total:.1%} of them not the nearest); weights alone "
        f"rounded: {judged(ours):.2f} dB, theirs {judged(theirs):.2f}, to nearest {judged(nearest):.2f}"
    )


def _real(linear: Linear, scales: np.ndarray, integers: np.ndarray) -> np.ndarray:
    weight = np.moveaxis(integers.astype(np.float32), 0, linear.channel_axis)
    real: np.ndarray = weight * spread(scales, weight.ndim, linear.channel_axis)
    return real
