"""Runs a model over samples, scores each of them and compares the scores and outputs with the original's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput
from enxuto.judge.answers import answers, depends_on_batch
from enxuto.judge.compared import Compared
from enxuto.judge.fidelity import FidelityMeter
from enxuto.judge.outputs import OutputWriter, Reference, ScoreWriter, is_numeric
from enxuto.judge.scoring import Held, Scorer, Seen, summarize
from enxuto.judge.value import checked_value
from enxuto.metric import Agreement, BinaryCrossEntropy, MeanAveragePrecision, Metric, PeakSignalToNoise, Spearman
from enxuto.runtimes import load_model
from enxuto.schema import Digest
from enxuto.signature import TensorSpec
from enxuto.steps import EvaluateModel, Evaluation, Fidelity


def evaluate_model(step: EvaluateModel, files: Mapping[Digest, Path], out: Path) -> Evaluation:
    """Evaluate under the step's workload; its batch size is kept wherever an answer may depend on it.

    Raises:
        BadInput: the model does not run on these samples, or its output, the labels and the metric do not fit.
    """
    path, settings = files[step.subject.model], step.subject.settings
    model = load_model(path, settings, step.workload.threads)
    samples = SampleBatches(step.samples, files, step.preprocessing, model.inputs)
    if not samples.count:
        raise BadInput("no samples to evaluate on", code="too_few_samples", hint="Give more evaluation samples.")
    reference = Reference(step.reference, files) if step.reference else None
    judge = _Judge(step.metric, model.outputs, samples, reference)
    writer = OutputWriter(out, samples.count)
    scores = ScoreWriter(out, samples.count // judge.rows_a_unit)
    for seen in answers(model, samples, step.workload.batch_size, may_grow=not depends_on_batch(path, settings)):
        scores.add(judge.score(seen))
        if reference is None:
            writer.add(seen.start, seen.outputs)
        else:
            judge.compare(seen)
    units = scores.finished()
    if reference is None:
        judge.refuse_ruins()
    labels = samples.all_labels()
    value = checked_value(step, summarize(step.metric, units, labels), labels)
    compared = Compared(step, reference.scores, units, labels, judge.rows_a_unit) if reference else None
    worst = compared.worst() if compared else []
    return Evaluation(
        metric_value=value,
        samples=samples.count,
        drop=compared.drop() if compared else None,
        fidelity=judge.fidelity(),
        scores_file=scores.name,
        outputs_files=writer.names(),
        worst=[int(samples.indices[position]) for position, _ in worst],
        worst_losses=[loss for _, loss in worst],
    )


class _Judge:
    """Scores batches of outputs and adds up how alike they are to the original's."""

    def __init__(
        self, metric: Metric, outputs: list[TensorSpec], samples: SampleBatches, reference: Reference | None
    ) -> None:
        names = [output.name for output in outputs]
        self._originals = reference.pair(names) if reference else {}
        held = Held.of(samples, self._originals if reference else None)
        self._scorer = Scorer(metric, names, samples.names, held)
        self._floats = [output.name for output in outputs if "float" in output.dtype]
        self._chooses = _chooses(metric)
        self._meter = FidelityMeter()
        self._compared = False
        self._some_sound = False

    @property
    def rows_a_unit(self) -> int:
        return self._scorer.rows

    def score(self, seen: Seen) -> np.ndarray:
        judged = seen.whole.get(self._scorer.judged)
        self._some_sound = self._some_sound or judged is None or _some_sound(judged)
        return self._scorer(seen)

    def refuse_ruins(self) -> None:
        """Of a model that computes NaN on everything no accuracy can be told, and none be lost."""
        if not self._some_sound:
            raise BadInput(
                f"output {self._scorer.judged!r} holds NaN or infinity for every sample",
                code="outputs_not_finite",
                hint="Check that the data is preprocessed as the model wants it, and that the model itself is sound.",
            )

    def compare(self, seen: Seen) -> None:
        """Take in the outputs that the original has too. Chosen classes have no noise where there are scores."""
        for name, output in seen.outputs.items():
            kept = self._originals.get(name)
            if kept is None or kept.shape[1:] != output.shape[1:] or not is_numeric(output):
                continue
            original = kept[seen.start : seen.start + len(output)]
            if not self._floats or name in self._floats:
                self._compared = True
                self._meter.add(output, original)
            if name == self._scorer.judged and self._chooses:
                self._meter.add_choices(output, original)

    def fidelity(self) -> Fidelity | None:
        """None where the two models have no output in common."""
        return self._meter.result() if self._compared else None


def _chooses(metric: Metric) -> bool:
    """Whether the highest number of an output may be a choice: it is none in an embedding, a picture or a box."""
    if isinstance(metric, Agreement):
        return metric.by != "cosine"
    return not isinstance(metric, Spearman | PeakSignalToNoise | BinaryCrossEntropy | MeanAveragePrecision)


def _some_sound(output: np.ndarray) -> bool:
    """Whether any sample's output is without NaN and infinity; minus infinity is how a score is masked."""
    if output.dtype.kind != "f" or not output.size:
        return True
    ruined = (np.isnan(output) | np.isposinf(output)).reshape(len(output), -1).any(axis=1) if output.ndim else False
    return not np.all(ruined)
