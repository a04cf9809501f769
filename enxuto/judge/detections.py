"""A detector's outputs as boxes with scores and classes, and which of them found a labelled box."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from enxuto.errors import BadInput
from enxuto.metric import MeanAveragePrecision

Detections = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of one sample, the best first: corners [k, 4], scores [k], classes [k]."""
_BOX, _WITH_SCORE, _WITH_CLASS = 4, 5, 6
_MOST_SUPPRESSED = 4000
"""Detections of a sample that are compared with each other at most: the best ones."""


def detections(metric: MeanAveragePrecision, outputs: Mapping[str, np.ndarray], boxes: str) -> Iterator[Detections]:
    """Sample by sample, without those that do not count.

    Raises:
        BadInput: the outputs do not have the shapes that the metric is told of.
    """
    found = outputs[boxes].astype(np.float64)
    if found.ndim != 3:
        raise _misfit(boxes, found, "[samples, boxes, 4 or more]")
    scores = outputs[metric.scores].astype(np.float64) if metric.scores else None
    found = _boxes_second(found, boxes, scores)
    if scores is None:
        scores, classes = _columns(found, metric.objectness)
    else:
        classes = None
        scores = _beside(scores, found, str(metric.scores))
    if metric.classes:
        classes = _beside(outputs[metric.classes].astype(np.float64), found, metric.classes)
    if scores.ndim == 3 and classes is not None:
        scores = scores.max(axis=2)
    for sample in range(len(found)):
        one = None if classes is None else classes[sample].reshape(-1)
        yield _of_sample(metric, found[sample, :, :_BOX], scores[sample], one)


def _boxes_second(found: np.ndarray, name: str, scores: np.ndarray | None) -> np.ndarray:
    """With the axis of boxes before that of columns."""
    if scores is not None and found.shape[1] == _BOX != found.shape[2] and found.shape[2] in scores.shape[1:]:
        return found.swapaxes(1, 2)
    if scores is None and found.shape[2] > found.shape[1] >= _WITH_SCORE and found.shape[2] > _WITH_CLASS:
        return found.swapaxes(1, 2)
    if found.shape[2] < (_WITH_SCORE if scores is None else _BOX):
        raise _misfit(name, found, "[samples, boxes, 4] beside an output with scores, or 5 and more columns")
    return found


def _columns(found: np.ndarray, objectness: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Scores [n, k] with classes [n, k], or scores of all classes [n, k, classes]."""
    if objectness:
        return found[:, :, _WITH_SCORE:] * found[:, :, _BOX:_WITH_SCORE], None
    if found.shape[2] == _WITH_CLASS:
        return found[:, :, _BOX], found[:, :, _WITH_SCORE]
    return found[:, :, _BOX:], None


def _beside(values: np.ndarray, found: np.ndarray, name: str) -> np.ndarray:
    """Scores or classes with an axis of as many boxes as there are."""
    if values.ndim == 3 and values.shape[1] != found.shape[1] and values.shape[2] == found.shape[1]:
        values = values.swapaxes(1, 2)
    if values.ndim not in (2, 3) or values.shape[:2] != found.shape[:2]:
        raise _misfit(name, values, f"[samples, boxes], with {found.shape[1]} boxes, or one column a class")
    return values


def _of_sample(
    metric: MeanAveragePrecision, boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray | None
) -> Detections:
    if classes is None:
        table = scores.reshape(len(scores), -1)
        rows, columns = np.nonzero(_counted(metric, table))
        rows, columns = rows[columns != metric.background], columns[columns != metric.background]
        boxes, scores, classes = boxes[rows], table[rows, columns], columns.astype(np.float64)
    else:
        kept = _counted(metric, scores) & (classes != -1)
        boxes, scores, classes = boxes[kept], scores[kept], np.rint(classes[kept])
    corners = _corners(boxes, metric.form)
    best = np.argsort(-scores, kind="stable")
    if metric.suppress is not None:
        best = _suppressed(corners, classes, best[:_MOST_SUPPRESSED], metric.suppress, metric.most)
    best = best[: metric.most]
    return corners[best], scores[best], classes[best]


def _counted(metric: MeanAveragePrecision, scores: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        counted: np.ndarray = np.isfinite(scores) & (scores > metric.least_score)
    return counted


def _corners(boxes: np.ndarray, form: str) -> np.ndarray:
    if form == "xyxy":
        return boxes
    first, size = boxes[:, :2], boxes[:, 2:]
    first = first - size / 2 if form == "cxcywh" else first
    return np.concatenate([first, first + size], axis=1)


def _suppressed(corners: np.ndarray, classes: np.ndarray, best: np.ndarray, overlap: float, most: int) -> np.ndarray:
    """Those that no better one of their class overlaps by more than is allowed, the best first."""
    kept: list[int] = []
    waiting = best
    while len(waiting) and len(kept) < most:
        first, rest = int(waiting[0]), waiting[1:]
        kept.append(first)
        same = classes[rest] == classes[first]
        near = overlaps(corners[first : first + 1], corners[rest])[0] > overlap
        waiting = rest[~(same & near)]
    return np.array(kept, dtype=np.intp)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair of boxes: corners [a, 4] and [b, 4] to [a, b]."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = shared / (_area(one)[:, None] + _area(other)[None] - shared)
    found: np.ndarray = np.nan_to_num(shares, posinf=0.0)
    return found


def _area(boxes: np.ndarray) -> np.ndarray:
    area: np.ndarray = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return area


def matched(corners: np.ndarray, classes: np.ndarray, labels: np.ndarray, thresholds: list[float]) -> np.ndarray:
    """Whether each detection, the best first, found a labelled box of its class: bool [k, thresholds].

    Each takes the free box that it overlaps most, as in COCO's evaluation (pycocotools' ``evaluateImg``). Labels have
    the rows x1, y1, x2, y2, class.
    """
    found = np.zeros((len(corners), len(thresholds)), dtype=bool)
    for class_ in np.unique(classes):
        rows = np.flatnonzero(classes == class_)
        truth = labels[labels[:, -1] == class_, :_BOX]
        if not len(truth):
            continue
        shares = overlaps(corners[rows], truth)
        for column, threshold in enumerate(thresholds):
            free = np.ones(len(truth), dtype=bool)
            for row, overlap in zip(rows, shares, strict=True):
                best = int(np.where(free, overlap, -1).argmax())
                if free[best] and overlap[best] >= threshold:
                    free[best] = False
                    found[row, column] = True
    return found


def _misfit(name: str, found: np.ndarray, wanted: str) -> BadInput:
    return BadInput(
        f"output {name!r} has the shape {list(found.shape)}, and average precision wants {wanted}",
        code="not_detections",
        hint="Name the outputs with boxes, scores and classes in the metric, or let an expression judge the model.",
    )
