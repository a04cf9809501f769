"""How likely the labels are by a model's answers: cross-entropies in nats."""

from __future__ import annotations

import numpy as np

from enxuto.errors import BadInput
from enxuto.judge.fit import classes_last, labels_of_classes, misfit, shaped
from enxuto.metric import BinaryCrossEntropy

_CHUNK_ELEMENTS = 1 << 20

_SLACK = 0.1
"""How far a probability may lie outside 0 to 1: quantized ones round beyond; farther out it is something else."""


def cross_entropy(output: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of scores [n, …, classes] against integers [n, …]: [n, 2], the sum over a sample's positions and their number.

    Negative labels are positions that do not count.
    """
    if output.ndim < 2 or output.dtype.kind != "f":
        raise misfit(f"perplexity wants scores along a last axis, not {output.dtype} of shape {list(output.shape)}")
    output = classes_last(output, labels)
    labels = shaped(labels, output.shape[:-1])
    counted = labels.reshape(-1) >= 0
    places = labels_of_classes(np.where(labels < 0, 0, labels), output.shape[-1]).reshape(-1)
    rows = output.reshape(-1, output.shape[-1])
    losses = np.zeros(len(rows))
    step = max(1, _CHUNK_ELEMENTS // output.shape[-1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        losses[part] = _negative_log(rows[part].astype(np.float64), places[part])
    losses = np.where(counted, losses, 0.0)
    refuse_not_finite(losses.reshape(len(output), -1).sum(axis=1), "cross-entropy")
    by_sample = losses.reshape(len(output), -1).sum(axis=1), counted.reshape(len(output), -1).sum(axis=1)
    return np.stack(by_sample, axis=1).astype(np.float64)


def _negative_log(scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        highest = scores.max(axis=1)
        total = np.log(np.exp(scores - highest[:, None]).sum(axis=1))
        losses: np.ndarray = total + highest - scores[np.arange(len(scores)), places]
    return losses


def binary_cross_entropy(metric: BinaryCrossEntropy, output: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of each sample, summed or averaged over its elements: [n]."""
    truth = shaped(truth, output.shape).astype(np.float64)
    if not ((truth >= 0) & (truth <= 1)).all():
        raise misfit(f"binary cross-entropy is against values from 0 to 1, not {truth.min():g} to {truth.max():g}")
    values = output.astype(np.float64)
    losses = _of_logits(values, truth) if metric.of == "logits" else _of_probabilities(values, truth, metric.clip)
    by_sample = losses.reshape(len(losses), -1)
    scores: np.ndarray = by_sample.sum(axis=1) if metric.over == "sum" else by_sample.mean(axis=1)
    refuse_not_finite(scores, "binary cross-entropy")
    return scores


def _of_logits(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    losses: np.ndarray = np.maximum(values, 0) - values * truth + np.log1p(np.exp(-np.abs(values)))
    return losses


def _of_probabilities(values: np.ndarray, truth: np.ndarray, least: float) -> np.ndarray:
    outside = values[(values < -_SLACK) | (values > 1 + _SLACK)]
    if outside.size:
        raise misfit(
            f"an output of {outside[0]:g} is no probability; where the output holds logits, the metric says so "
            "(of: logits)"
        )
    values = np.clip(values, least, 1 - least)
    losses: np.ndarray = -(truth * np.log(values) + (1 - truth) * np.log1p(-values))
    return losses


def refuse_not_finite(scores: np.ndarray, what: str) -> None:
    if not np.isfinite(scores).all():
        ruined = np.count_nonzero(~np.isfinite(scores))
        raise BadInput(
            f"{ruined} of {len(scores)} samples in a batch have no finite {what}",
            code="outputs_not_finite",
            hint="The model computes NaN or infinity on this data, or the labels hold it.",
        )
