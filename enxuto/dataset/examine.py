"""The examination of calibration and evaluation data: what is wrong with it, or may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from enxuto.axes import counts_samples
from enxuto.dataset.batches import SampleBatches
from enxuto.dataset.health.amounts import few_calibration, few_evaluation, missing, one_label
from enxuto.dataset.health.curve import curve
from enxuto.dataset.health.drift import drift, label_drift
from enxuto.dataset.health.look import Look, look_at
from enxuto.dataset.health.twins import duplicates, shared
from enxuto.dataset.health.values import out_of_range, unsound
from enxuto.schema import Digest
from enxuto.steps import DataFinding, DataHealth, ExamineData, MetricPoint, Samples


def examine_data(step: ExamineData, files: Mapping[Digest, Path], out: Path) -> DataHealth:
    """Read both roles once, prepared as the model takes them; an input that is a single number holds no samples.

    Raises:
        BadInput: an input of the model has no array.
    """
    step = step.model_copy(update={"inputs": [spec for spec in step.inputs if counts_samples(spec.shape)]})
    calibration, evaluation = (_batches(samples, step, files) for samples in (step.calibration, step.evaluation))
    points = _curve(step, files, evaluation)
    return DataHealth(findings=[*_findings(step, calibration, evaluation, points)], curve=points)


def _findings(
    step: ExamineData,
    calibration: SampleBatches | None,
    evaluation: SampleBatches | None,
    points: Sequence[MetricPoint],
) -> Iterator[DataFinding]:
    yield from missing(calibration is not None, evaluation is not None)
    looks = {
        role: look_at(samples, step.inputs)
        for role, samples in (("calibration", calibration), ("evaluation", evaluation))
        if samples is not None
    }
    if calibration is not None:
        yield from few_calibration(calibration)
    if evaluation is not None:
        yield from few_evaluation(evaluation, step.metric, points)
        yield from one_label(evaluation)
    for role, look in looks.items():
        yield from unsound(role, look)
        yield from duplicates(role, look)
    if len(looks) == 2:
        yield from _together(looks["calibration"], looks["evaluation"])


def _together(calibration: Look, evaluation: Look) -> Iterator[DataFinding]:
    yield from shared(calibration, evaluation)
    strange = list(out_of_range(calibration, evaluation))
    yield from strange
    yield from label_drift(calibration.samples, evaluation.samples)
    yield from drift(calibration, evaluation, {finding.input for finding in strange if finding.role == "both"})


def _batches(samples: Samples | None, step: ExamineData, files: Mapping[Digest, Path]) -> SampleBatches | None:
    if samples is None:
        return None
    batches = SampleBatches(samples, files, step.preprocessing, step.inputs)
    return batches if batches.count else None


def _curve(step: ExamineData, files: Mapping[Digest, Path], evaluation: SampleBatches | None) -> list[MetricPoint]:
    if step.scores is None or step.metric is None or evaluation is None:
        return []
    units: np.ndarray = np.load(files[step.scores], mmap_mode="r", allow_pickle=False)
    rows_a_unit = max(1, evaluation.count // len(units)) if len(units) else 1
    return curve(step.metric, units, evaluation.all_labels(), rows_a_unit)
