"""Mean average precision, of many weightings of the same images at once.

A unit is an image: the classes of its labelled boxes, and its detections with their score, class, and for each
threshold whether they found a box. Which one finds which is settled within an image, so that drawing images anew only
weighs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from enxuto.judge.detections import Detections, matched

_NONE = -1.0
"""The class of what fills up rows."""


def unit(found: Detections, labels: np.ndarray, thresholds: list[float], most: int) -> np.ndarray:
    """An image as a row of numbers: classes of its labels [m], then most × (score, class, found …).

    Labels are rows of x1, y1, x2, y2, (score,) class.
    """
    corners, scores, classes = found
    flags = matched(corners, classes, labels, thresholds)
    table = np.full((most, 2 + len(thresholds)), _NONE)
    table[: len(scores)] = np.column_stack([scores, classes, flags])
    return np.concatenate([labels[:, -1], table.reshape(-1)])


@dataclass(frozen=True)
class _Class:
    """The detections of one class, the best first, and how many boxes of it each image has."""

    images: np.ndarray
    found: np.ndarray
    """Bool [thresholds, detections]."""
    boxes: np.ndarray


class AveragePrecision:
    """The mean over classes that have boxes, and over thresholds, of the area below precision over recall.

    The area of all points: precision is raised to the highest that any larger recall reaches. Source: Everingham and
    others, "The Pascal Visual Object Classes Challenge: A Retrospective", IJCV 111 (2015), in use from VOC 2010 on.
    """

    fewest = 2

    def __init__(self, units: np.ndarray, labels: int, thresholds: int) -> None:
        self.count = len(units)
        self._boxes = units[:, :labels]
        self._table = units[:, labels:].reshape(len(units), -1, 2 + thresholds)
        self._classes = list(self._by_class())
        detected = sum(one.found.size for one in self._classes)
        self.work = 6 * detected + self.count * max(len(self._classes), 1)

    def _by_class(self) -> Iterator[_Class]:
        images, places = np.nonzero(self._table[:, :, 1] != _NONE)
        rows = self._table[images, places]
        order = np.argsort(-rows[:, 0], kind="stable")
        images, rows = images[order], rows[order]
        for class_ in np.unique(self._boxes[self._boxes != _NONE]):
            own = rows[:, 1] == class_
            yield _Class(images[own], rows[own, 2:].T > 0, (self._boxes == class_).sum(axis=1))

    def at(self, weights: np.ndarray) -> np.ndarray:
        total, classes = np.zeros(len(weights)), np.zeros(len(weights))
        for one in self._classes:
            boxes = weights @ one.boxes
            there = boxes > 0
            areas = _areas(weights[:, one.images], one.found, np.where(there, boxes, 1))
            total += np.where(there, areas, 0)
            classes += there
        with np.errstate(invalid="ignore"):
            found: np.ndarray = total / classes
        return found

    def each(self) -> np.ndarray:
        """The average precision of each image alone; 1 where it has no box and nothing to miss."""
        return np.array([self._alone(image) for image in range(self.count)])

    def _alone(self, image: int) -> float:
        boxes, rows = self._boxes[image], self._table[image]
        areas = []
        for class_ in np.unique(boxes[boxes != _NONE]):
            own = rows[rows[:, 1] == class_]
            found = own[np.argsort(-own[:, 0], kind="stable"), 2:].T > 0
            count = np.full(1, np.count_nonzero(boxes == class_), dtype=np.float64)
            areas.append(float(_areas(np.ones((1, len(own))), found, count)[0]))
        return float(np.mean(areas)) if areas else 1.0


def _areas(weights: np.ndarray, found: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Weights [r, detections], found [thresholds, detections], boxes [r] to the mean area of each row [r]."""
    seen = np.cumsum(weights, axis=1)
    total = np.zeros(len(weights))
    for hits in found:
        won = weights[:, hits]
        if not won.size:
            continue
        # Precision falls between two finds, so that its highest from any point on stands at a find.
        precision = np.cumsum(won, axis=1) / np.maximum(seen[:, hits], 1)
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total += (won * highest).sum(axis=1) / boxes
    areas: np.ndarray = total / len(found)
    return areas
