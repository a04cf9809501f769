"""Runs a model over samples, scores each of them and compares the scores and outputs with the original's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput
from enxuto.judge.drop import paired_drop
from enxuto.judge.fidelity import FidelityMeter
from enxuto.judge.outputs import OutputWriter, Reference, is_numeric
from enxuto.judge.scores import score_samples
from enxuto.metric import Agreement, Metric
from enxuto.runtimes import LoadedModel, load_model
from enxuto.schema import Digest
from enxuto.signature import TensorSpec, fixed_batch
from enxuto.steps import Drop, EvaluateModel, Evaluation, Fidelity

_SCORES_FILE = "scores.npy"
_WORST = 20


def evaluate_model(step: EvaluateModel, files: Mapping[Digest, Path], out: Path) -> Evaluation:
    """Evaluate under the step's workload, its batch size included: ranges that a model takes from its inputs, as
    dynamic quantization does, span a batch, so that the metric depends on it.

    Raises:
        BadInput: the model does not run on these samples, or its output, the labels and the metric do not fit.
    """
    model = load_model(files[step.subject.model], step.subject.settings, step.workload.threads)
    samples = SampleBatches(step.samples, files, step.preprocessing, model.inputs)
    if not samples.count:
        raise BadInput("no samples to evaluate on", code="too_few_samples", hint="Give more evaluation samples.")
    reference = Reference(step.reference, files) if step.reference else None
    judge = _Judge(step.metric, model.outputs, samples.labels(), reference)
    scores = np.lib.format.open_memmap(out / _SCORES_FILE, mode="w+", dtype=np.float64, shape=(samples.count,))
    writer = OutputWriter(out, samples.count)
    for start, outputs in _run(model, samples, step.workload.batch_size):
        batch_scores = judge.score(start, outputs)
        scores[start : start + len(batch_scores)] = batch_scores
        if reference is None:
            writer.add(start, outputs)
        else:
            judge.compare(start, outputs)
    scores.flush()
    if reference is None:
        judge.refuse_ruins()
    drop = _drop(step, reference, scores) if reference else None
    worst = _worst(step.metric, reference.scores, scores) if reference else []
    return Evaluation(
        metric_value=float(scores.mean()),
        samples=samples.count,
        drop=drop,
        fidelity=judge.fidelity(),
        scores_file=_SCORES_FILE,
        outputs_files=writer.names(),
        worst=[int(samples.indices[position]) for position, _ in worst],
        worst_losses=[loss for _, loss in worst],
    )


class _Judge:
    """Scores batches of outputs and adds up how alike they are to the original's."""

    def __init__(
        self, metric: Metric, outputs: Sequence[TensorSpec], labels: np.ndarray | None, reference: Reference | None
    ) -> None:
        names = [output.name for output in outputs]
        self._metric = metric
        self._judged = _judged(metric, names)
        self._originals = reference.pair(names) if reference else {}
        self._truth = labels
        if isinstance(metric, Agreement):
            self._truth = _original(self._judged, self._originals) if reference else None
        self._floats = [output.name for output in outputs if "float" in output.dtype]
        self._meter = FidelityMeter()
        self._compared = False
        self._some_sound = False

    def score(self, start: int, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if self._judged not in outputs:
            raise BadInput(
                f"the first axis of output {self._judged!r} does not count samples",
                code="output_not_per_sample",
                hint="Name another output in the metric: one whose first axis is the batch.",
            )
        output = outputs[self._judged]
        self._some_sound = self._some_sound or _some_sound(output)
        truth = None if self._truth is None else self._truth[start : start + len(output)]
        return score_samples(self._metric, output, truth)

    def refuse_ruins(self) -> None:
        """Of a model that computes NaN on everything no accuracy can be told, and none be lost."""
        if not self._some_sound:
            raise BadInput(
                f"output {self._judged!r} holds NaN or infinity for every sample",
                code="outputs_not_finite",
                hint="Check that the data is preprocessed as the model wants it, and that the model itself is sound.",
            )

    def compare(self, start: int, outputs: Mapping[str, np.ndarray]) -> None:
        """Take in the outputs that the original has too. Chosen classes have no noise where there are scores."""
        for name, output in outputs.items():
            kept = self._originals.get(name)
            if kept is None or kept.shape[1:] != output.shape[1:] or not is_numeric(output):
                continue
            original = kept[start : start + len(output)]
            if not self._floats or name in self._floats:
                self._compared = True
                self._meter.add(output, original)
            if name == self._judged:
                self._meter.add_choices(output, original)

    def fidelity(self) -> Fidelity | None:
        """None where the two models have no output in common."""
        return self._meter.result() if self._compared else None


def _run(model: LoadedModel, samples: SampleBatches, batch_size: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Outputs by name whose first axis counts samples, beside the position of the first of these samples."""
    size = fixed_batch(model.inputs) or batch_size
    start = 0
    for batch in samples(size):
        count = len(next(iter(batch.values())))
        outputs = zip(model.outputs, model.run(_filled(batch, size)), strict=True)
        yield start, {spec.name: output[:count] for spec, output in outputs if output.ndim and len(output) == size}
        start += count


def _filled(batch: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Repeat samples until the batch is full: a model may run at one size only, whatever its axis says."""
    if all(len(array) == size for array in batch.values()):
        return dict(batch)
    return {name: np.resize(array, (size, *array.shape[1:])) for name, array in batch.items()}


def _some_sound(output: np.ndarray) -> bool:
    """Whether any sample's output is without NaN and infinity; minus infinity is how a score is masked."""
    if output.dtype.kind != "f":
        return True
    ruined = (np.isnan(output) | np.isposinf(output)).reshape(len(output), -1).any(axis=1)
    return not ruined.all()


def _judged(metric: Metric, names: Sequence[str]) -> str:
    if metric.output is None and names:
        return names[0]
    if metric.output is None or metric.output not in names:
        raise BadInput(
            f"the metric judges output {metric.output or 0!r}, and the model's tensor outputs are {list(names)}",
            code="output_missing",
            hint="Name one of the model's tensor outputs in the metric; sequences and maps cannot be judged.",
        )
    return metric.output


def _original(judged: str, originals: Mapping[str, np.ndarray]) -> np.ndarray:
    if judged not in originals:
        raise BadInput(
            f"the original left no output to compare {judged!r} with, only {sorted(originals)}",
            code="no_original_output",
            hint="Agreement wants a numeric output whose shape is the same for every sample; name one in the metric.",
        )
    return originals[judged]


def _drop(step: EvaluateModel, reference: Reference, scores: np.ndarray) -> Drop:
    if reference.scores.shape != scores.shape:
        raise BadInput(
            f"the reference was evaluated on {len(reference.scores)} samples, this model on {len(scores)}",
            code="reference_does_not_match",
            hint="Compare evaluations of the same samples.",
        )
    return paired_drop(
        np.asarray(reference.scores),
        np.asarray(scores),
        higher_is_better=step.metric.higher_is_better,
        relative=step.relative,
        confidence=step.confidence,
        seed=step.samples.seed,
    )


def _worst(metric: Metric, before: np.ndarray, after: np.ndarray) -> list[tuple[int, float]]:
    """Positions of the samples that lost most and what each lost, the greatest loss first."""
    loss = before - after if metric.higher_is_better else after - before
    order = np.argsort(-loss, kind="stable")[:_WORST]
    return [(int(position), float(loss[position])) for position in order if loss[position] > 0]
