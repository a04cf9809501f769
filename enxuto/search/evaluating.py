"""Steps that evaluate a model, and what is kept of what they found."""

from __future__ import annotations

from enxuto.report import Measurements
from enxuto.schema import Digest
from enxuto.search.trial import Trials
from enxuto.steps import EvaluateModel, Evaluation, EvaluationFiles, Samples, Subject


def evaluation_step(
    trials: Trials,
    subject: Subject,
    samples: Samples,
    reference: EvaluationFiles | None,
    confidence: float | None = None,
) -> EvaluateModel:
    """``confidence`` is that of the bounds of the drop; by default what the goal asks for."""
    limit = trials.request.goal.max_drop if trials.request.goal else None
    assert trials.request.metric is not None, "there is no metric without data"  # noqa: S101
    return EvaluateModel(
        subject=subject,
        samples=samples,
        preprocessing=trials.request.preprocessing,
        metric=trials.request.metric,
        workload=trials.request.workload,
        reference=reference,
        confidence=confidence or (limit.confidence if limit else 0.95),
        relative=limit.relative if limit else True,
    )


def evaluation_files(evaluation: Evaluation, files: dict[str, Digest]) -> EvaluationFiles:
    return EvaluationFiles(
        scores=files[evaluation.scores_file],
        outputs={name: files[file] for name, file in evaluation.outputs_files.items()},
    )


def scored(evaluation: Evaluation) -> Measurements:
    return Measurements(
        metric=evaluation.metric_value,
        samples=evaluation.samples,
        drop=evaluation.drop,
        fidelity=evaluation.fidelity,
    )


def with_accuracy(seen: Measurements, scores: Measurements) -> Measurements:
    """What was measured of a model, with what it scored last."""
    return seen.model_copy(update={name: getattr(scores, name) for name in ("metric", "samples", "drop", "fidelity")})
