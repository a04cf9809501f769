"""Which layer costs how much accuracy: the step that looks at what a technique does, one layer at a time.

The technique is applied once. Its outcome is compared with the float graph (``changes``), and every part that changed
is switched on alone in a few models with gates (``gates``): no layer needs a model, a session or a calibration of its
own. Parts are the layers' weights and the quantized tensors; errors of different parts are nearly uncorrelated, so that
their powers at the outputs add up. That is what mixed precision rests on: HAWQ-V3 (Yao et al., 2021) and Banner et al.,
"Post training 4-bit quantization of convolutional networks for rapid-deployment" (2019), add up layers likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from enxuto.dataset import SampleBatches
from enxuto.graph.apply import apply_technique
from enxuto.graph.file import read_model
from enxuto.graph.loaded import load_edited
from enxuto.judge.changes import ChangedLayer, Follower
from enxuto.judge.few_samples import Batch, batches_for
from enxuto.judge.gates import Part
from enxuto.judge.parts import float_twin, noise_between, noise_of_parts
from enxuto.machine import this_machine
from enxuto.runtimes import load_model
from enxuto.schema import Digest
from enxuto.steps import LayerSensitivity, MeasureSensitivity, Sensitivity
from enxuto.techniques import Context, Work


def measure_sensitivity(step: MeasureSensitivity, files: Mapping[Digest, Path], out: Path) -> Sensitivity:
    """Raises NotApplicable or BadInput, both naming the technique at fault."""
    source = files[step.model]
    samples, batches = _few(step, files)
    with TemporaryDirectory(dir=out) as folder:
        scratch = Path(folder)
        context = _context(step, samples, scratch)
        work = Work(read_model(source), statistics=files[step.statistics] if step.statistics else None)
        for technique in step.before:
            work = apply_technique(technique, work, context)
        changed = apply_technique(step.technique, work, context).model
        floats = load_edited(work.model, scratch) if step.before else load_model(source)
        noise, sqnr_db = noise_between(floats, load_edited(changed, scratch), batches)
        del floats  # of a large model there is room for few more
        twin, comparison = float_twin(work.model, changed, context)
        noises = noise_of_parts(twin, comparison, changed, batches, scratch)
    return Sensitivity(
        layers=[_layer(layer, noises) for layer in comparison.in_order()],
        whole_sqnr_db=sqnr_db,
        whole_noise=noise,
        samples=samples.count,
    )


def _few(step: MeasureSensitivity, files: Mapping[Digest, Path]) -> tuple[SampleBatches, list[Batch]]:
    """The model is let go again: techniques load it themselves."""
    original = load_model(files[step.model])
    samples = SampleBatches(step.samples, files, step.preprocessing, original.inputs)
    return samples, batches_for(original, samples, step.workload)


def _context(step: MeasureSensitivity, samples: SampleBatches, scratch: Path) -> Context:
    given = this_machine().instruction_sets if step.instruction_sets is None else step.instruction_sets
    return Context(
        scratch=scratch,
        seed=step.seed,
        calibration=samples,
        instruction_sets=frozenset(given),
        workload=step.workload,
    )


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
