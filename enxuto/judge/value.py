"""The metric of a whole evaluation, or why there is none."""

from __future__ import annotations

import numpy as np

from enxuto.errors import BadInput
from enxuto.judge.fit import misfit
from enxuto.judge.summary import Summary, value_of
from enxuto.metric import MeanAveragePrecision, MeanSquaredError, Spearman
from enxuto.steps import EvaluateModel

_OWN_OUTPUTS = 1e-9
"""A squared error below this share of the labels' own square is rounding: the labels are the original's outputs."""


def checked_value(step: EvaluateModel, summary: Summary, labels: np.ndarray | None) -> float:
    """Over all units.

    Raises:
        BadInput: nothing was labelled, or of the original an error of nothing is to be a share.
    """
    value = value_of(summary)
    if np.isfinite(value):
        if step.reference is None and step.relative and isinstance(step.metric, MeanSquaredError):
            _refuse_own_outputs(value, labels)
        return value
    match step.metric:
        case Spearman() if labels is not None and (np.asarray(labels) != labels[0]).any():
            return 0.0  # the model gives the same for all: it ranks nothing
        case Spearman():
            raise misfit("all labels are the same, which leaves nothing to be ranked")
        case MeanAveragePrecision():
            raise misfit("the labels of these samples hold no box: every class is -1")
    raise misfit("no label of these samples counts: all of them are negative")


def _refuse_own_outputs(error: float, labels: np.ndarray | None) -> None:
    if labels is None:
        return
    some = np.asarray(labels[: max(1, (1 << 20) // max(labels[0].size, 1))], dtype=np.float64)
    if error < _OWN_OUTPUTS * float(np.mean(some * some)):
        raise BadInput(
            f"the original's mean squared error is {error:.2g} where labels are {np.sqrt(np.mean(some * some)):.2g} "
            "large: they are what it computes itself, and a loss cannot be a share of rounding",
            code="metric_is_zero",
            hint="Judge by 'agreement' or 'psnr', which need no labels, or ask for an absolute drop (relative: false).",
        )
