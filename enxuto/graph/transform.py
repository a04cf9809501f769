"""The step that applies a recipe: techniques in order, one file at the end, and the proof that it is a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.graph.apply import apply_technique
from enxuto.graph.file import read_model, write_model
from enxuto.graph.prove import require_runs, require_same_signature, require_valid, signature
from enxuto.machine import this_machine
from enxuto.runtimes import load_model
from enxuto.schema import Digest
from enxuto.steps import Applied, ApplyRecipe
from enxuto.techniques import Context, Work

OUTPUT_FILE = "model.onnx"


def apply_recipe(step: ApplyRecipe, files: Mapping[Digest, Path], out: Path) -> Applied:
    """Raises NotApplicable or BadInput, both naming the technique at fault.

    Of a large model one copy at a time is in memory: that of a runtime, or the one that is edited.
    """
    source, path = files[step.model], out / OUTPUT_FILE
    inputs = load_model(source).inputs
    samples = SampleBatches(step.calibration, files, step.preprocessing, inputs) if step.calibration else None
    expected, beside, notes = _write_changed(step, files, samples, path)
    require_valid(path)
    require_same_signature(expected, signature(read_model(path)))
    require_runs(source, path, feeds_for(inputs, step.workload, samples, step.seed))
    size_bytes = sum((out / name).stat().st_size for name in (OUTPUT_FILE, *beside))
    return Applied(file=OUTPUT_FILE, beside_files=beside, size_bytes=size_bytes, notes=notes)


def _write_changed(
    step: ApplyRecipe, files: Mapping[Digest, Path], samples: SampleBatches | None, path: Path
) -> tuple[list[str], list[str], list[str]]:
    """Returns the signature that the model had, the files written beside it, and notes."""
    original = read_model(files[step.model])
    with TemporaryDirectory() as scratch:
        seen = files[step.statistics] if step.statistics else None
        work = _apply(step, Work(original, statistics=seen), samples, Path(scratch))
    return signature(original), write_model(work.model, path), list(work.notes)


def _apply(step: ApplyRecipe, work: Work, samples: SampleBatches | None, scratch: Path) -> Work:
    given = this_machine().instruction_sets if step.instruction_sets is None else step.instruction_sets
    context = Context(
        scratch=scratch,
        seed=step.seed,
        calibration=samples,
        instruction_sets=frozenset(given),
        workload=step.workload,
    )
    for technique in step.recipe:
        work = apply_technique(technique, work, context)
    return work
