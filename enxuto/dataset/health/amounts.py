"""Whether there are samples at all, enough of them, and labels that tell anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from enxuto.dataset.batches import SampleBatches
from enxuto.dataset.health.words import figure, plural
from enxuto.metric import Metric
from enxuto.steps import DataFinding, MetricPoint

_FEW_CALIBRATION, _ENOUGH_CALIBRATION = 32, 128
_FEW_EVALUATION, _ENOUGH_EVALUATION = 100, 1000


def missing(calibration: bool, evaluation: bool) -> Iterator[DataFinding]:
    """Roles that have no samples."""
    if not calibration:
        yield DataFinding(
            code="no_data", role="both" if not evaluation else "calibration",
            detail="There are no calibration samples: ranges of activations are taken from random inputs, which real "
            "ones may exceed or hardly fill, so that static INT8 may lose accuracy that nobody sees here.",
            hint=f"Give some {_ENOUGH_CALIBRATION} real samples, without labels; weight-only and dynamic INT8 need "
            "none.",
        )  # fmt: skip
    elif not evaluation:
        yield DataFinding(
            code="no_data", role="evaluation",
            detail="There are no evaluation samples: only how alike outputs are to the original's is known, not what "
            "accuracy is lost.",
            hint=f"Give some {_ENOUGH_EVALUATION:,} samples with labels.",
        )  # fmt: skip


def few_calibration(samples: SampleBatches) -> Iterator[DataFinding]:
    if samples.count < _FEW_CALIBRATION:
        yield DataFinding(
            code="few_calibration_samples", role="calibration", count=samples.count,
            detail=f"There {_are(samples.count)} only {plural(samples.count, 'calibration sample')}: ranges of "
            "activations taken from so few are too narrow or hang on single samples.",
            hint=f"Give some {_ENOUGH_CALIBRATION}; more than a few hundred hardly change anything.",
        )  # fmt: skip


def few_evaluation(
    samples: SampleBatches, metric: Metric | None, points: Sequence[MetricPoint]
) -> Iterator[DataFinding]:
    if samples.count < _FEW_EVALUATION:
        known = ""
        if metric is not None and points:
            last = points[-1]
            known = (
                f" The original's {metric.title} of {figure(last.value)} could be anything from {figure(last.low)} to "
                f"{figure(last.high)}."
            )
        yield DataFinding(
            code="few_evaluation_samples", role="evaluation", count=samples.count,
            detail=f"There {_are(samples.count)} only {plural(samples.count, 'evaluation sample')}: a loss of one "
            f"percent cannot be told from chance.{known}",
            hint=f"Give some {_ENOUGH_EVALUATION:,}: the report says how many it would take to decide.",
        )  # fmt: skip


def one_label(samples: SampleBatches) -> Iterator[DataFinding]:
    labels = samples.labels()
    if labels is None or len(labels) < 2 or not labels[0].size or (labels != labels[:1]).any():
        return
    yield DataFinding(
        code="one_label", role="evaluation", count=len(labels),
        detail=f"All {len(labels):,} evaluation labels are the same ({_shown(labels)}): a model that always says so "
        "would be perfect.",
        hint="Check that labels belong to the samples, and that samples are not sorted by label.",
    )  # fmt: skip


def _shown(labels: np.ndarray) -> str:
    return figure(float(labels[0])) if labels.ndim == 1 else f"each {'×'.join(map(str, labels.shape[1:]))} numbers"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
