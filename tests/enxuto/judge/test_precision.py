"""Average precision is that of pycocotools 2.0.11, and detections are read from what detectors give."""

from __future__ import annotations

import numpy as np
import pytest

from enxuto.errors import BadInput
from enxuto.judge.detections import detections, overlaps
from enxuto.judge.precision import AveragePrecision, unit
from enxuto.judge.summary import value_of
from enxuto.metric import MeanAveragePrecision

LABELS = [
    [0, 48, 1, 81, 24, 1], [0, 37, 17, 76, 26, 0], [0, 23, 34, 44, 46, 0], [0, 0, 2, 12, 41, 0],
    [1, 34, 26, 47, 59, 1], [2, 56, 22, 74, 55, 0], [2, 11, 11, 31, 24, 1], [2, 50, 22, 58, 52, 0],
    [2, 36, 10, 74, 39, 1], [3, 32, 23, 69, 50, 1], [3, 44, 35, 68, 49, 1], [4, 11, 3, 50, 27, 1],
    [4, 45, 57, 54, 74, 1], [4, 26, 23, 42, 31, 0], [4, 58, 1, 70, 16, 0], [4, 51, 19, 64, 39, 1],
    [5, 6, 43, 27, 53, 1], [5, 51, 1, 62, 11, 1], [5, 55, 50, 84, 60, 0], [5, 30, 28, 41, 43, 1],
    [5, 53, 6, 91, 24, 0], [5, 54, 31, 83, 44, 1],
]  # fmt: skip
"""Image, two corners, class."""
FOUND = [
    [0, 44, -2, 86, 25, 82, 1], [0, 36, 15, 78, 26, 37, 1], [0, 22, 31, 44, 42, 21, 0], [0, 31, 19, 48, 52, 6, 0],
    [1, 8, 47, 32, 71, 93, 1], [1, 14, 18, 51, 53, 17, 0], [1, 58, 57, 87, 77, 94, 0], [1, 33, 18, 64, 32, 53, 1],
    [1, 58, 13, 77, 41, 72, 0], [2, 59, 21, 71, 52, 69, 0], [2, 13, 7, 30, 24, 83, 1], [2, 7, 6, 30, 23, 14, 1],
    [2, 48, 20, 58, 51, 81, 0], [2, 45, 27, 59, 49, 38, 0], [2, 33, 10, 77, 38, 12, 1], [3, 32, 25, 70, 53, 11, 1],
    [3, 34, 23, 71, 47, 75, 1], [3, 49, 35, 64, 55, 9, 0], [3, 39, 34, 66, 54, 28, 1], [3, 30, 2, 64, 37, 10, 0],
    [3, 52, 35, 75, 66, 97, 1], [3, 33, 35, 60, 71, 24, 0], [4, 12, 0, 48, 27, 65, 1], [4, 28, 24, 48, 31, 20, 0],
    [4, 56, -5, 68, 16, 51, 0], [4, 49, 18, 69, 44, 91, 1], [4, 8, 46, 22, 64, 85, 0], [4, 30, 16, 62, 44, 45, 1],
    [4, 12, 56, 20, 75, 71, 1], [4, 25, 27, 44, 59, 5, 0], [4, 23, 3, 46, 28, 26, 0], [4, 1, 46, 38, 64, 90, 0],
    [5, 9, 46, 31, 55, 35, 1], [5, 53, 4, 60, 6, 40, 1], [5, 47, 6, 64, 11, 63, 1], [5, 58, 50, 83, 57, 58, 0],
    [5, 55, 43, 86, 59, 73, 0], [5, 27, 30, 39, 40, 43, 1], [5, 28, 24, 44, 40, 66, 1], [5, 54, 9, 90, 27, 16, 0],
    [5, 44, 58, 58, 77, 31, 1], [5, 34, 39, 65, 73, 3, 1], [5, 43, 48, 68, 77, 36, 0], [5, 39, 25, 56, 36, 87, 1],
]  # fmt: skip
"""Image, two corners, score in percent, class."""
COCO = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def padded(rows: list[list[int]], fill: float) -> np.ndarray:
    """One row of rows an image."""
    images = [[row[1:] for row in rows if row[0] == image] for image in range(6)]
    table = np.full((6, max(map(len, images)), len(rows[0]) - 1), fill, dtype=np.float64)
    for image, own in enumerate(images):
        table[image, : len(own)] = own
    return table


TRUTH, OUTPUT = padded(LABELS, -1.0), padded(FOUND, 0.0)


def summary(
    metric: MeanAveragePrecision, outputs: dict[str, np.ndarray], truth: np.ndarray = TRUTH
) -> AveragePrecision:
    found = detections(metric, outputs, metric.boxes or next(iter(outputs)))
    units = [unit(one, labels, metric.iou, metric.most) for one, labels in zip(found, truth, strict=True)]
    return AveragePrecision(np.stack(units), truth.shape[1], len(metric.iou))


@pytest.mark.parametrize(("iou", "expected"), [([0.5], 0.300176673446109), (COCO, 0.07518678234356312)])
def test_it_is_that_of_pycocotools_over_all_points(iou: list[float], expected: float) -> None:
    """``COCOeval`` of the boxes above with ``recThrs`` of 1,000,001 steps, since COCO's own 101 are a coarser area."""
    assert value_of(summary(MeanAveragePrecision(iou=iou), {"found": OUTPUT})) == pytest.approx(expected, abs=2e-6)


def test_it_is_what_is_counted_by_hand() -> None:
    """Scores 9, 8, 7: found, missed, found, of three boxes: 1/3 · 1 + 1/3 · 2/3."""
    truth = np.array([[[0, 0, 10, 10, 0], [20, 0, 30, 10, 0], [40, 0, 50, 10, 0]]], dtype=np.float64)
    found = np.array([[[0, 0, 10, 9, 0.9, 0], [60, 0, 70, 10, 0.8, 0], [20, 0, 30, 8, 0.7, 0]]])
    assert value_of(summary(MeanAveragePrecision(), {"found": found}, truth)) == pytest.approx(5 / 9)


def test_a_box_is_found_once() -> None:
    truth = np.array([[[0, 0, 10, 10, 0]]], dtype=np.float64)
    twice = np.array([[[0, 0, 10, 10, 0.9, 0], [0, 0, 10, 10, 0.8, 0]]])
    assert value_of(summary(MeanAveragePrecision(), {"found": twice[:, ::-1]}, truth)) == 1
    suppressed = MeanAveragePrecision(suppress=0.5)
    assert [len(scores) for _, scores, _ in detections(suppressed, {"found": twice}, "found")] == [1]


def test_a_weight_is_how_often_an_image_stands_in_the_sample() -> None:
    metric = MeanAveragePrecision(iou=COCO)
    whole = summary(metric, {"found": OUTPUT})
    for seed in range(5):
        images = np.random.default_rng(seed).integers(0, 6, 6)
        again = summary(metric, {"found": OUTPUT[images]}, TRUTH[images])
        weights = np.bincount(images, minlength=6).astype(np.float64)
        assert whole.at(weights[None])[0] == pytest.approx(value_of(again), rel=1e-12)


def test_an_image_alone_is_an_average_precision_too() -> None:
    each = summary(MeanAveragePrecision(), {"found": OUTPUT}).each()
    alone = [
        value_of(summary(MeanAveragePrecision(), {"found": OUTPUT[i : i + 1]}, TRUTH[i : i + 1])) for i in range(6)
    ]
    np.testing.assert_allclose(each, alone)


def columns() -> dict[str, np.ndarray]:
    return {"boxes": OUTPUT[..., :4], "scores": OUTPUT[..., 4], "classes": OUTPUT[..., 5]}


def one_score_a_class() -> np.ndarray:
    return np.where(OUTPUT[..., 5:] == np.arange(2), OUTPUT[..., 4:5], 0.0)


def centred(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1)


@pytest.mark.parametrize(
    ("outputs", "fields"),
    [
        (columns(), {"boxes": "boxes", "scores": "scores", "classes": "classes"}),
        (columns() | {"boxes": centred(OUTPUT[..., :4])},
         {"boxes": "boxes", "scores": "scores", "classes": "classes", "form": "cxcywh"}),
        ({"boxes": OUTPUT[..., :4], "scores": one_score_a_class()}, {"scores": "scores"}),
        ({"boxes": OUTPUT[..., :4], "scores": one_score_a_class().swapaxes(1, 2)}, {"scores": "scores"}),
        ({"all": np.concatenate([OUTPUT[..., :4], one_score_a_class(), np.zeros((6, len(OUTPUT[0]), 3))], 2)
          .swapaxes(1, 2)}, {}),
        ({"all": np.concatenate([OUTPUT[..., :4], np.full((6, len(OUTPUT[0]), 1), .5), one_score_a_class()], 2)},
         {"objectness": True}),
    ],
)  # fmt: skip
def test_detectors_say_the_same_in_many_ways(outputs: dict[str, np.ndarray], fields: dict[str, object]) -> None:
    metric = MeanAveragePrecision.model_validate({"kind": "mean_average_precision", **fields})
    assert value_of(summary(metric, outputs)) == pytest.approx(0.300176673446109, abs=2e-6)


def test_the_column_that_stands_for_nothing_is_no_detection() -> None:
    scores = np.concatenate([np.full((6, len(OUTPUT[0]), 1), 99.0), one_score_a_class()], axis=2)
    shifted = np.where(TRUTH[..., 4:] >= 0, TRUTH[..., 4:] + 1, -1)
    truth = np.concatenate([TRUTH[..., :4], shifted], axis=2)
    metric = MeanAveragePrecision(boxes="boxes", scores="scores", background=0)
    found = summary(metric, {"boxes": OUTPUT[..., :4], "scores": scores}, truth)
    assert value_of(found) == pytest.approx(0.300176673446109, abs=2e-6)


def test_only_the_best_count_and_those_above_the_least_score() -> None:
    few = detections(MeanAveragePrecision(most=2, least_score=50.0), {"found": OUTPUT}, "found")
    kept = [scores.tolist() for _, scores, _ in few]
    assert kept[:2] == [[82], [94, 93]]


def test_overlap_is_intersection_over_union() -> None:
    one, other = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6], [1, 1, 1, 1]])
    np.testing.assert_allclose(overlaps(one, other), [[1 / 7, 1, 0, 0]])


@pytest.mark.parametrize(
    ("outputs", "fields"),
    [
        ({"found": OUTPUT[0]}, {}),
        ({"found": OUTPUT[..., :3]}, {}),
        ({"boxes": OUTPUT[..., :4], "scores": OUTPUT[:, :3, 4]}, {"scores": "scores"}),
    ],
)
def test_what_is_no_detection_is_refused(outputs: dict[str, np.ndarray], fields: dict[str, str]) -> None:
    with pytest.raises(BadInput) as refused:
        list(detections(MeanAveragePrecision(**fields), outputs, next(iter(outputs))))
    assert refused.value.code == "not_detections"
