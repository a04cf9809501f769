"""Which layer costs how much accuracy: the step that looks at what a technique does, one layer at a time.

The technique is applied once. Its outcome is compared with the float graph (``changes``), and every part that changed
is switched on alone in a few models with gates (``gates``): no layer needs a model, a session or a calibration of its
own. Parts are the layers' weights and the quantized tensors; errors of different parts are nearly uncorrelated, so that
their powers at the outputs add up. That is what mixed precision rests on: HAWQ-V3 (Yao et al., 2021) and Banner et al.,
"Post training 4-bit quantization of convolutional networks for rapid-deployment" (2019), add up layers likewise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir

from enxuto.dataset import SampleBatches
from enxuto.graph.apply import apply_technique
from enxuto.graph.file import read_model, write_model
from enxuto.graph.normalize import normalized, opset_of
from enxuto.graph.opset import with_opset
from enxuto.graph.optimize import optimized
from enxuto.judge.changes import ChangedLayer, Comparison, Follower
from enxuto.judge.few_samples import Batch, batches_for, comparable, float_outputs
from enxuto.judge.fidelity import FidelityMeter
from enxuto.judge.gates import Part, gated
from enxuto.machine import this_machine
from enxuto.quantization.left_behind import FACTORS
from enxuto.runtimes import LoadedModel, load_model
from enxuto.schema import Digest
from enxuto.steps import LayerSensitivity, MeasureSensitivity, Sensitivity
from enxuto.techniques import Context, Work

_PARTS = 16
"""Gates in one model: each keeps nodes from being fused, so that many make calls slow, and few want many models."""


def measure_sensitivity(step: MeasureSensitivity, files: Mapping[Digest, Path], out: Path) -> Sensitivity:
    """Raises NotApplicable or BadInput, both naming the technique at fault."""
    source = files[step.model]
    loaded = load_model(source)
    samples = SampleBatches(step.samples, files, step.preprocessing, loaded.inputs)
    with TemporaryDirectory(dir=out) as folder:
        scratch = Path(folder)
        context = _context(step, samples, scratch)
        start = Work(read_model(source), statistics=files[step.statistics] if step.statistics else None)
        for technique in step.before:
            start = apply_technique(technique, start, context)
        changed = apply_technique(step.technique, start, context).model
        batches = batches_for(loaded, samples, step.workload)
        floats = loaded if not step.before else _loaded(start.model, scratch)
        noise, whole = _noise_of_whole(floats, _loaded(changed, scratch), batches)
        del floats, loaded
        twin, comparison = float_twin(start.model, changed, context)
        noises = _noise_of_parts(twin, comparison, changed, batches, scratch)
    return Sensitivity(
        layers=[_layer(layer, noises) for layer in comparison.in_order()],
        whole_sqnr_db=whole,
        whole_noise=noise,
        samples=samples.count,
    )


def float_twin(model: ir.Model, changed: ir.Model, context: Context) -> tuple[ir.Model, Comparison]:
    """The form of a float model that a changed one was made from, and what changed.

    Some techniques optimize a graph before they change it, and some do not: of the two forms, that which the changed
    one has more tensors of.
    """
    raised = with_opset(model, opset_of(changed), context)
    factors = changed.meta.get(FACTORS, {})
    forms = (normalized(raised), optimized(raised))
    pairs = [(form, Comparison(form.graph, changed.graph, factors)) for form in forms]
    return min(pairs, key=lambda pair: (pair[1].missing, len(pair[1].layers)))


def _context(step: MeasureSensitivity, samples: SampleBatches, scratch: Path) -> Context:
    given = this_machine().instruction_sets if step.instruction_sets is None else step.instruction_sets
    return Context(
        scratch=scratch,
        seed=step.seed,
        calibration=samples,
        instruction_sets=frozenset(given),
        workload=step.workload,
    )


def _loaded(model: ir.Model, scratch: Path) -> LoadedModel:
    path = scratch / "loaded.onnx"
    write_model(model, path)
    loaded = load_model(path)
    path.unlink()
    return loaded


def _noise_of_whole(model: LoadedModel, changed: LoadedModel, batches: Sequence[Batch]) -> tuple[float, float | None]:
    meter, positions = FidelityMeter(), float_outputs(model)
    for batch in batches:
        _add(meter, batch, positions, changed.run(batch.feeds), model.run(batch.feeds))
    return _noise(meter)


def _noise_of_parts(
    twin: ir.Model, comparison: Comparison, changed: ir.Model, batches: Sequence[Batch], scratch: Path
) -> dict[Part, float]:
    parts: list[Part] = [*comparison.tensors, *comparison.layers]
    found: dict[Part, float] = {}
    for group in _groups(parts):
        model, gates = gated(twin, comparison, changed.opset_imports, group)
        found.update(zip(group, _alone(_loaded(model, scratch), gates, batches), strict=True))
    return found


def _groups(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    for start in range(0, len(parts), _PARTS):
        yield parts[start : start + _PARTS]


def _alone(model: LoadedModel, gates: Sequence[str], batches: Sequence[Batch]) -> list[float]:
    """Noise of each part alone."""
    closed = {gate: np.array(False) for gate in gates}
    meters, positions = [FidelityMeter() for _ in gates], float_outputs(model)
    for batch in batches:
        original = model.run({**batch.feeds, **closed})
        for gate, meter in zip(gates, meters, strict=True):
            outputs = model.run({**batch.feeds, **closed, gate: np.array(True)})
            _add(meter, batch, positions, outputs, original)
    return [_noise(meter)[0] for meter in meters]


def _add(
    meter: FidelityMeter, batch: Batch, positions: Sequence[int], outputs: Sequence[np.ndarray],
    originals: Sequence[np.ndarray],
) -> None:  # fmt: skip
    for position in positions:
        output, original = batch.cut(outputs[position]), batch.cut(originals[position])
        if comparable(output, original):
            meter.add(output, original)


def _noise(meter: FidelityMeter) -> tuple[float, float | None]:
    """As a share of the outputs' power, and in decibels."""
    sqnr_db = meter.result().sqnr_db
    return (0.0 if sqnr_db is None else 10 ** (-sqnr_db / 10)), sqnr_db


def _layer(layer: ChangedLayer | Follower, noises: Mapping[Part, float]) -> LayerSensitivity:
    own = noises[layer] if isinstance(layer, ChangedLayer) else 0.0
    touched = dict.fromkeys([*layer.reads, *([layer.writes] if layer.writes else [])])
    shared = {tensor: noises[tensor] for tensor in touched}
    noise = own + sum(shared.values())
    return LayerSensitivity(
        name=layer.name,
        operator=layer.operator,
        parameters=layer.parameters if isinstance(layer, ChangedLayer) else 0,
        noise=noise,
        own_noise=own,
        tensor_noise=shared,
        writes=layer.writes,
        follows=isinstance(layer, Follower),
        sqnr_db=-10 * float(np.log10(noise)) if noise else None,
        bytes_saved=layer.bytes_saved if isinstance(layer, ChangedLayer) else 0,
        nodes=list(layer.nodes) if isinstance(layer, ChangedLayer) else [layer.name],
    )
