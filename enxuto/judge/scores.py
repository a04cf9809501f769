"""How good each sample's output is, by the metric: float64, one score a sample."""

from __future__ import annotations

import numpy as np

from enxuto.errors import BadInput
from enxuto.metric import Agreement, MeanSquaredError, Metric, TopK


def score_samples(metric: Metric, output: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    """Score a batch; ``truth`` holds its labels, or the original's output for agreement.

    Agreement with no original to agree with is 1: a model agrees with itself.

    Raises:
        BadInput: output and labels do not fit each other, or a mean squared error that is not finite.
    """
    match metric:
        case TopK():
            return _per_sample(_within_top(output, _labels(truth), metric.k))
        case MeanSquaredError():
            return _squared_error(output, _labels(truth))
        case Agreement():
            return np.ones(len(output)) if truth is None else _agreement(metric, output, truth)


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
        hit: np.ndarray = output == _shaped(labels, output.shape)
        return hit
    if output.ndim < 2:
        raise _misfit(f"top-{k} wants scores along a last axis, and the output has shape {list(output.shape)}")
    labels = _class_labels(_shaped(labels, output.shape[:-1]), classes=output.shape[-1])
    chosen = np.take_along_axis(output, labels[..., None], axis=-1)
    earlier = np.arange(output.shape[-1]) < labels[..., None]  # as argmax does, the first of equals wins
    rank = ((output > chosen) | ((output == chosen) & earlier)).sum(axis=-1)
    ruined = (np.isnan(output) | np.isposinf(output)).any(axis=-1)  # minus infinity is how a score is masked
    within: np.ndarray = (rank < k) & ~ruined
    return within


def _squared_error(output: np.ndarray, labels: np.ndarray) -> np.ndarray:
    difference = output.astype(np.float64) - _shaped(labels, output.shape)
    scores = _per_sample(difference * difference)
    if not np.isfinite(scores).all():
        ruined = np.count_nonzero(~np.isfinite(scores))
        raise BadInput(
            f"{ruined} of {len(scores)} samples in a batch have no finite squared error",
            code="outputs_not_finite",
            hint="The model computes NaN or infinity on this data, or the labels hold it.",
        )
    return scores


def _agreement(metric: Agreement, output: np.ndarray, original: np.ndarray) -> np.ndarray:
    if output.shape != original.shape:
        raise _misfit(f"the output has shape {list(output.shape)}, the original's has {list(original.shape)}")
    looks_like_scores = is_class_index(output) or (output.ndim == 2 and output.shape[1] >= 2)
    if (metric.by or ("argmax" if looks_like_scores else "cosine")) == "argmax":
        return _per_sample(same_choice(output, original))
    return _cosine(output.reshape(len(output), -1), original.reshape(len(original), -1))


def _cosine(output: np.ndarray, original: np.ndarray) -> np.ndarray:
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


def _labels(truth: np.ndarray | None) -> np.ndarray:
    if truth is None:
        raise _misfit("this metric needs labels and the dataset has none")
    return truth


def _shaped(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Axes of one element, such as [n, 1] beside [n], are no difference."""
    if _wide_axes(labels.shape) != _wide_axes(shape):
        raise _misfit(f"labels of shape {list(labels.shape)} do not fit an output that wants {list(shape)}")
    return labels.reshape(shape)


def _wide_axes(shape: tuple[int, ...]) -> list[int]:
    return [*shape[:1], *(size for size in shape[1:] if size != 1)]


def _class_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    if labels.dtype.kind not in "biu":
        raise _misfit(f"top-k wants integer labels, not {labels.dtype}")
    strange = labels[(labels < 0) | (labels >= classes)]
    if strange.size:
        raise _misfit(f"label {strange[0]} is none of the {classes} classes of the output, which count from 0")
    return labels.astype(np.int64)


def _misfit(detail: str) -> BadInput:
    return BadInput(
        detail,
        code="labels_do_not_fit",
        hint="Give labels that fit the judged output, name another output in the metric, or choose another metric.",
    )
