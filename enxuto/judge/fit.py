"""Whether labels fit an output, once both are there."""

from __future__ import annotations

import numpy as np

from enxuto.errors import BadInput


def needed(truth: np.ndarray | None) -> np.ndarray:
    if truth is None:
        raise misfit("this metric needs labels and the dataset has none")
    return truth


def shaped(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Labels in the shape of what they are held against; axes of one element, such as [n, 1] beside [n], are no
    difference."""
    if _wide_axes(labels.shape) != _wide_axes(shape):
        raise misfit(f"labels of shape {list(labels.shape)} do not fit an output that wants {list(shape)}")
    return labels.reshape(shape)


def classes_last(output: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Scores with their classes on the last axis. Networks that label pixels count them on the second, as convolutions
    write them: so it is where the labels fit what is left of the shape then, and not otherwise."""
    given = _wide_axes(labels.shape)
    pixels = (*output.shape[:1], *output.shape[2:])
    if output.ndim < 4 or given == _wide_axes(output.shape[:-1]) or given != _wide_axes(pixels):
        return output
    return np.moveaxis(output, 1, -1)


def _wide_axes(shape: tuple[int, ...]) -> list[int]:
    return [*shape[:1], *(size for size in shape[1:] if size != 1)]


def labels_of_classes(labels: np.ndarray, classes: int) -> np.ndarray:
    if labels.dtype.kind not in "biu":
        raise misfit(f"this metric wants integer labels, not {labels.dtype}")
    strange = labels[(labels < 0) | (labels >= classes)]
    if strange.size:
        raise misfit(f"label {strange[0]} is none of the {classes} classes of the output, which count from 0")
    return labels.astype(np.int64)


def misfit(detail: str) -> BadInput:
    return BadInput(
        detail,
        code="labels_do_not_fit",
        hint="Give labels that fit the judged output, name another output in the metric, or choose another metric.",
    )
