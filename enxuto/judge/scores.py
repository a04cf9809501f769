"""How good each sample's output is, by the metric: float64, one score a sample, or what a metric is made of."""

from __future__ import annotations

import numpy as np

from enxuto.judge.fit import classes_last, labels_of_classes, misfit, needed, shaped
from enxuto.judge.likelihood import binary_cross_entropy, cross_entropy, refuse_not_finite
from enxuto.metric import Agreement, BinaryCrossEntropy, MeanSquaredError, Perplexity, TopK

PerSample = TopK | MeanSquaredError | Agreement | BinaryCrossEntropy | Perplexity
"""Metrics that look at one output and its truth, sample by sample."""


def score_samples(metric: PerSample, output: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    """Score a batch; ``truth`` holds its labels, or the original's output for agreement.

    Shape [n], but for perplexity [n, 2]: the cross-entropy of a sample and the number of its positions. Agreement with
    no original to agree with is 1: a model agrees with itself.

    Raises:
        BadInput: output and labels do not fit each other, or an error that is not finite.
    """
    match metric:
        case TopK():
            return _per_sample(_within_top(output, needed(truth), metric.k))
        case MeanSquaredError():
            return squared_error(output, needed(truth))
        case Agreement():
            return np.ones(len(output)) if truth is None else _agreement(metric, output, truth)
        case BinaryCrossEntropy():
            return binary_cross_entropy(metric, output, needed(truth))
        case Perplexity():
            return cross_entropy(output, needed(truth))


def is_class_index(output: np.ndarray) -> bool:
    """Whether an output already is a choice of class and not a score for each."""
    return output.dtype.kind in "biu"


def same_choice(output: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where two outputs choose the same class: bool over samples and positions.

    A row that is not finite where the other one is chooses wrongly.
    """
    if is_class_index(output) or output.ndim < 2:
        equal: np.ndarray = output == other
        return equal
    ruined = (~np.isfinite(output) & np.isfinite(other)).any(axis=-1)
    same: np.ndarray = (output.argmax(axis=-1) == other.argmax(axis=-1)) & ~ruined
    return same


def _within_top(output: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    if is_class_index(output):
        hit: np.ndarray = output == shaped(labels, output.shape)
        return hit
    if output.ndim < 2:
        raise misfit(f"top-{k} wants scores along a last axis, and the output has shape {list(output.shape)}")
    output = classes_last(output, labels)
    labels = labels_of_classes(shaped(labels, output.shape[:-1]), output.shape[-1])
    chosen = np.take_along_axis(output, labels[..., None], axis=-1)
    earlier = np.arange(output.shape[-1]) < labels[..., None]  # as argmax does, the first of equals wins
    rank = ((output > chosen) | ((output == chosen) & earlier)).sum(axis=-1)
    ruined = (np.isnan(output) | np.isposinf(output)).any(axis=-1)  # minus infinity is how a score is masked
    within: np.ndarray = (rank < k) & ~ruined
    return within


def squared_error(output: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean over each sample's elements: [n]."""
    difference = output.astype(np.float64) - shaped(labels, output.shape)
    scores = _per_sample(difference * difference)
    refuse_not_finite(scores, "squared error")
    return scores


def _agreement(metric: Agreement, output: np.ndarray, original: np.ndarray) -> np.ndarray:
    if output.shape != original.shape:
        raise misfit(f"the output has shape {list(output.shape)}, the original's has {list(original.shape)}")
    looks_like_scores = is_class_index(output) or (output.ndim == 2 and output.shape[1] >= 2)
    if (metric.by or ("argmax" if looks_like_scores else "cosine")) == "argmax":
        return _per_sample(same_choice(output, original))
    return cosine(output.reshape(len(output), -1), original.reshape(len(original), -1))


def cosine(output: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Of each row with the other's: [n]. Rows that are not finite are like nothing, two rows of zeros are alike."""
    left, right = output.astype(np.float64), original.astype(np.float64)
    elements: np.ndarray = np.isfinite(left) & np.isfinite(right)
    finite = elements.reshape(len(left), -1).min(axis=1, keepdims=True)
    left, right = np.where(finite, left, 0), np.where(finite, right, 0)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosine = np.einsum("ij,ij->i", left, right) / np.where(lengths > 0, lengths, 1)
    both_zero = ~left.any(axis=1) & ~right.any(axis=1)
    scores: np.ndarray = np.where(both_zero & finite[:, 0], 1.0, cosine)
    return scores


def _per_sample(values: np.ndarray) -> np.ndarray:
    means: np.ndarray = values.reshape(len(values), -1).mean(axis=1, dtype=np.float64)
    return means
