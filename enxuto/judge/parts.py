"""What each part of a change does to the outputs when it is made alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx_ir as ir

from enxuto.errors import NotApplicable
from enxuto.graph.loaded import load_edited
from enxuto.graph.normalize import normalized, opset_of
from enxuto.graph.opset import with_opset
from enxuto.graph.optimize import optimized
from enxuto.judge.changes import Comparison
from enxuto.judge.few_samples import Batch, comparable, float_outputs
from enxuto.judge.fidelity import FidelityMeter
from enxuto.judge.gates import Part, gated
from enxuto.judge.scaling import channel_factors
from enxuto.quantization.points import prepared
from enxuto.runtimes import LoadedModel
from enxuto.techniques import Context

_PARTS = 16
"""Gates in one model: each keeps nodes from being fused, so that many make calls slow, and few want many models."""


def float_twin(model: ir.Model, changed: ir.Model, context: Context) -> tuple[ir.Model, Comparison]:
    """The form of a float model that a changed one was made from, and what changed.

    Techniques bring a graph into forms of their own before they change it: the form is that which the changed one has
    most tensors of.
    """
    raised = with_opset(model, opset_of(changed), context)
    forms = [normalized(raised), optimized(raised)]
    with suppress(NotApplicable):  # an opset that another technique would have to raise further
        forms.append(prepared(raised, context))
    pairs = [compared(form, changed) for form in forms]
    return min(pairs, key=lambda pair: (pair[1].missing, len(pair[1].layers)))


def compared(model: ir.Model, changed: ir.Model) -> tuple[ir.Model, Comparison]:
    factors = channel_factors(model.graph, changed.graph)
    return model, Comparison(model.graph, changed.graph, factors)


def noise_of_parts(
    twin: ir.Model, comparison: Comparison, changed: ir.Model, batches: Sequence[Batch], scratch: Path
) -> dict[Part, float]:
    """Power of the error at the outputs by each part alone, as a share of the outputs' power.

    Raises:
        BadInput: before and after do not fit together, as where they compute in other types.
    """
    parts: list[Part] = [*comparison.tensors, *comparison.layers]
    found: dict[Part, float] = {}
    for group in _groups(parts):
        model, gates = gated(twin, comparison, changed.opset_imports, group)
        found.update(zip(group, _alone(load_edited(model, scratch), gates, batches), strict=True))
    return found


def noise_between(model: LoadedModel, changed: LoadedModel, batches: Sequence[Batch]) -> tuple[float, float | None]:
    """As a share of the outputs' power, and in decibels; null where outputs are the same to the bit."""
    meter, positions = FidelityMeter(), float_outputs(model)
    for batch in batches:
        _add(meter, batch, positions, changed.run(batch.feeds), model.run(batch.feeds))
    return _noise(meter)


def _groups(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    for start in range(0, len(parts), _PARTS):
        yield parts[start : start + _PARTS]


def _alone(model: LoadedModel, gates: Sequence[str], batches: Sequence[Batch]) -> list[float]:
    closed = {gate: np.array(False) for gate in gates}
    meters, positions = [FidelityMeter() for _ in gates], float_outputs(model)
    for batch in batches:
        original = model.run({**batch.feeds, **closed})
        for gate, meter in zip(gates, meters, strict=True):
            outputs = model.run({**batch.feeds, **closed, gate: np.array(True)})
            _add(meter, batch, positions, outputs, original)
    return [_noise(meter)[0] for meter in meters]


def _add(
    meter: FidelityMeter,
    batch: Batch,
    positions: Sequence[int],
    outputs: Sequence[np.ndarray],
    originals: Sequence[np.ndarray],
) -> None:
    for position in positions:
        output, original = batch.cut(outputs[position]), batch.cut(originals[position])
        if comparable(output, original):
            meter.add(output, original)


def _noise(meter: FidelityMeter) -> tuple[float, float | None]:
    sqnr_db = meter.result().sqnr_db
    return (0.0 if sqnr_db is None else 10 ** (-sqnr_db / 10)), sqnr_db
