"""Each sample is scored by the metric, and what cannot be scored is refused."""

import numpy as np
import pytest

from enxuto.errors import BadInput
from enxuto.judge.scores import score_samples
from enxuto.metric import Agreement, MeanSquaredError, Perplexity, TopK

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4], [0.2, 0.3, 0.5]], dtype=np.float32)


def code_of(metric: TopK | MeanSquaredError | Agreement, output: np.ndarray, truth: np.ndarray | None) -> str:
    with pytest.raises(BadInput) as refused:
        score_samples(metric, output, truth)
    return refused.value.code


def test_top_1_is_whether_the_highest_score_is_the_label() -> None:
    assert score_samples(TopK(), SCORES, np.array([1, 2, 2])).tolist() == [1, 0, 1]


def test_top_2_takes_the_second_highest_too() -> None:
    assert score_samples(TopK(k=2), SCORES, np.array([0, 2, 1])).tolist() == [0, 1, 1]


def test_of_equal_scores_the_first_one_is_chosen() -> None:
    output = np.zeros((2, 3), dtype=np.float32)
    assert score_samples(TopK(), output, np.array([0, 1])).tolist() == [1, 0]
    assert score_samples(TopK(k=2), output, np.array([1, 2])).tolist() == [1, 0]


def test_more_places_than_classes_take_every_label() -> None:
    assert score_samples(TopK(k=5), SCORES, np.array([0, 1, 2])).tolist() == [1, 1, 1]


def test_a_score_of_many_positions_is_their_mean() -> None:
    output = np.stack([SCORES, SCORES])
    labels = np.array([[1, 0, 2], [1, 1, 1]])
    assert score_samples(TopK(), output, labels).tolist() == pytest.approx([1, 1 / 3])


def test_an_output_that_is_a_class_already_is_compared_with_the_label() -> None:
    assert score_samples(TopK(), np.array([3, 1], dtype=np.int64), np.array([[3], [2]])).tolist() == [1, 0]


@pytest.mark.parametrize("ruin", [np.nan, np.inf])
def test_scores_that_are_not_numbers_are_wrong_and_masked_ones_are_not(ruin: float) -> None:
    output = SCORES.copy()
    output[0, 0] = ruin
    output[1, 1] = -np.inf
    assert score_samples(TopK(), output, np.array([1, 0, 2])).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("output", "labels"),
    [
        (SCORES, np.array([0, 1])),
        (SCORES, np.array([0, 1, 3])),
        (SCORES, np.array([0, 1, -1])),
        (SCORES, np.array([0.0, 1.0, 2.0])),
        (SCORES, None),
        (SCORES[:, 0], np.array([0, 1, 2])),
    ],
    ids=["too few", "no such class", "negative", "not integers", "none", "no scores"],
)
def test_labels_that_do_not_fit_are_refused(output: np.ndarray, labels: np.ndarray | None) -> None:
    assert code_of(TopK(), output, labels) == "labels_do_not_fit"


def test_squared_error_is_the_mean_over_a_samples_elements() -> None:
    output = np.array([[1.0, 2.0], [0.0, 0.0]], dtype=np.float16)
    assert score_samples(MeanSquaredError(), output, np.array([[1.0, 4.0], [3.0, 1.0]])).tolist() == [2.0, 5.0]


def test_squared_error_takes_a_column_for_a_list() -> None:
    assert score_samples(MeanSquaredError(), np.ones((2, 1)), np.array([1.0, 3.0])).tolist() == [0.0, 4.0]


def test_a_squared_error_that_is_not_finite_is_refused() -> None:
    assert code_of(MeanSquaredError(), np.array([[np.nan], [1.0]]), np.ones((2, 1))) == "outputs_not_finite"


def test_a_model_agrees_with_itself() -> None:
    assert score_samples(Agreement(), SCORES, None).tolist() == [1, 1, 1]
    assert score_samples(Agreement(by="cosine"), SCORES, SCORES).tolist() == pytest.approx([1, 1, 1])


def test_class_scores_agree_by_their_highest() -> None:
    output = SCORES.copy()
    output[2] = [0.9, 0.0, 0.0]
    assert score_samples(Agreement(), output, SCORES).tolist() == [1, 1, 0]


def test_outputs_of_other_shapes_agree_by_cosine() -> None:
    original = np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]], [[0.0, 0.0]]])
    output = np.array([[[0.0, 1.0]], [[2.0, 2.0]], [[0.0, 0.0]], [[1.0, 0.0]]])
    assert score_samples(Agreement(), output, original).tolist() == pytest.approx([0, 1, 1, 0])


@pytest.mark.parametrize("by", ["argmax", "cosine"])
def test_an_output_that_is_no_number_where_the_original_was_does_not_agree(by: str) -> None:
    output = SCORES.copy()
    output[0, 1] = np.nan
    assert score_samples(Agreement(by=by), output, SCORES).tolist() == pytest.approx([0, 1, 1])


def test_a_mask_that_both_models_set_leaves_agreement_alone() -> None:
    masked = SCORES.copy()
    masked[:, 0] = -np.inf
    assert score_samples(Agreement(), masked, masked).tolist() == [1, 1, 1]


def test_outputs_of_different_shapes_cannot_agree() -> None:
    assert code_of(Agreement(), SCORES, SCORES[:, :2]) == "labels_do_not_fit"


def test_an_image_has_a_class_for_each_pixel_on_its_second_axis() -> None:
    scores = np.zeros((2, 3, 4, 5), dtype=np.float32)
    labels = np.random.default_rng(0).integers(0, 3, (2, 4, 5))
    np.put_along_axis(scores, labels[:, None], 1.0, axis=1)
    assert score_samples(TopK(), scores, labels).tolist() == [1.0, 1.0]
    wrong = labels.copy()
    wrong[1, 0, :] = (labels[1, 0, :] + 1) % 3
    assert score_samples(TopK(), scores, wrong).tolist() == [1.0, 0.75]
    losses = score_samples(Perplexity(), 50 * scores, labels)
    assert losses[:, 1].tolist() == [20.0, 20.0]
    assert losses[:, 0].max() < 1e-6
