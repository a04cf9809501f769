"""Runs a model over samples, scores each of them and compares the scores and outputs with the original's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput
from enxuto.judge.drop import paired_drop
from enxuto.judge.fidelity import FidelityMeter
from enxuto.judge.outputs import OutputWriter, Reference, per_sample
from enxuto.judge.scores import score_samples
from enxuto.metric import Agreement, Metric
from enxuto.runtimes import LoadedModel, load_model
from enxuto.schema import Digest
from enxuto.signature import TensorSpec
from enxuto.steps import Drop, EvaluateModel, Evaluation

_SCORES_FILE = "scores.npy"
_WORST = 20


def evaluate_model(step: EvaluateModel, files: Mapping[Digest, Path], out: Path) -> Evaluation:
    """Evaluate under the step's workload, its batch size included: ranges that a model takes from its inputs, as
    dynamic quantization does, span a batch, so that the metric depends on it.

    Raises:
        BadInput: the model does not run on these samples, or its output, the labels and the metric do not fit.
    """
    model = load_model(files[step.model], step.workload.runtimes[0], step.workload.threads)
    samples = SampleBatches(step.samples, files, step.preprocessing, model.inputs)
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
            judge.compare(start, outputs, reference)
    scores.flush()
    drop = _drop(step, reference, scores) if reference else None
    return Evaluation(
        metric_value=float(scores.mean()),
        samples=samples.count,
        drop=drop,
        fidelity=judge.fidelity.result() if reference and judge.compared else None,
        scores_file=_SCORES_FILE,
        outputs_files=writer.names(),
        worst=_worst(step.metric, reference.scores, scores, samples.indices) if reference else [],
    )


class _Judge:
    """Scores batches of outputs and adds up how alike they are to the original's."""

    def __init__(
        self, metric: Metric, outputs: Sequence[TensorSpec], labels: np.ndarray | None, reference: Reference | None
    ) -> None:
        self.metric = metric
        self.fidelity = FidelityMeter()
        self.compared = False
        names = [output.name for output in outputs]
        self.judged = _judged(metric, names)
        self.truth = labels
        if isinstance(metric, Agreement):
            self.truth = _original(self.judged, names, reference) if reference else None

    def score(self, start: int, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if self.judged not in outputs:
            raise BadInput(
                f"the first axis of output {self.judged!r} does not count samples",
                code="output_not_per_sample",
                hint="Name another output in the metric: one whose first axis is the batch.",
            )
        output = outputs[self.judged]
        truth = None if self.truth is None else self.truth[start : start + len(output)]
        return score_samples(self.metric, output, truth)

    def compare(self, start: int, outputs: Mapping[str, np.ndarray], reference: Reference) -> None:
        """Take in the outputs that the original has too; those that are no numbers or differ in shape say nothing."""
        for position, (name, output) in enumerate(outputs.items()):
            kept = reference.match(name, position)
            if kept is None or kept.shape[1:] != output.shape[1:] or output.dtype.kind not in "biuf":
                continue
            original = kept[start : start + len(output)]
            self.compared = True
            self.fidelity.add(output, original)
            if name == self.judged:
                self.fidelity.add_choices(output, original)


def _run(model: LoadedModel, samples: SampleBatches, batch_size: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Outputs by name whose first axis counts samples, beside the position of the first of these samples."""
    fixed = _fixed_batch(model.inputs)
    start = 0
    for batch in samples(fixed or batch_size):
        count = len(next(iter(batch.values())))
        feeds = _filled(batch, fixed) if fixed else batch
        ran = len(next(iter(feeds.values())))
        outputs = zip(model.outputs, model.run(feeds), strict=True)
        yield start, {spec.name: output[:count] for spec, output in outputs if per_sample(output, ran)}
        start += count


def _fixed_batch(inputs: Sequence[TensorSpec]) -> int | None:
    sizes = [spec.shape[0] for spec in inputs if spec.shape]
    return next((size for size in sizes if isinstance(size, int)), None)


def _filled(batch: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Repeat samples until a fixed batch axis is full."""
    return {name: np.resize(array, (size, *array.shape[1:])) for name, array in batch.items()}


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


def _original(judged: str, names: Sequence[str], reference: Reference) -> np.ndarray:
    original = reference.match(judged, list(names).index(judged))
    if original is None:
        raise BadInput(
            f"the original left no output to compare {judged!r} with",
            code="no_original_output",
            hint="Agreement wants a numeric output whose shape is the same for every sample; name one in the metric.",
        )
    return original


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


def _worst(metric: Metric, before: np.ndarray, after: np.ndarray, indices: np.ndarray) -> list[int]:
    """Dataset indices of the samples that lost most, the greatest loss first."""
    loss = before - after if metric.higher_is_better else after - before
    order = np.argsort(-loss, kind="stable")[:_WORST]
    return [int(indices[position]) for position in order if loss[position] > 0]
