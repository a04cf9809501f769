"""Cross-entropies are those of PyTorch 2.13, whose figures stand here with how they were made."""

from __future__ import annotations

import numpy as np
import pytest

from enxuto.errors import BadInput
from enxuto.judge.likelihood import binary_cross_entropy, cross_entropy
from enxuto.judge.summary import ExponentialOfMean, value_of
from enxuto.metric import BinaryCrossEntropy

RANDOM = np.random.default_rng(7)
SCORES = RANDOM.standard_normal((3, 4, 5)).round(3)
LABELS = RANDOM.integers(0, 5, (3, 4))
LABELS[0, 1] = -100
LABELS[2] = [-100, -100, 3, 1]
LOGITS = RANDOM.standard_normal((3, 6)).round(3) * 4
CHANCES = RANDOM.random((3, 6)).round(2)


def test_perplexity_is_that_of_pytorch_without_the_ignored_positions() -> None:
    """``exp(F.cross_entropy(SCORES.reshape(-1, 5), LABELS.reshape(-1), ignore_index=-100))``."""
    units = cross_entropy(SCORES, LABELS)
    assert units[:, 1].tolist() == [3, 4, 2]
    assert value_of(ExponentialOfMean(units)) == pytest.approx(5.823674102307414, rel=1e-12)


def test_one_class_a_sample_is_a_sequence_of_one() -> None:
    units = cross_entropy(SCORES[:, 0], np.array([2, -1, 0]))
    assert units[1].tolist() == [0, 0]
    assert units[0, 0] == pytest.approx(np.log(np.exp(SCORES[0, 0]).sum()) - SCORES[0, 0, 2])


def test_large_scores_do_not_overflow() -> None:
    assert cross_entropy(np.array([[1e4, 0.0]]), np.array([1]))[0, 0] == pytest.approx(1e4)


@pytest.mark.parametrize("labels", [np.array([0, 5, 1]), np.array([[0], [1], [2]]) * np.ones((1, 2), int),
                                    np.array([0.0, 1.0, 2.0])])  # fmt: skip
def test_labels_that_are_no_classes_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(BadInput) as refused:
        cross_entropy(SCORES[:, 0], labels)
    assert refused.value.code == "labels_do_not_fit"


def test_an_answer_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        cross_entropy(np.array([[np.nan, 0.0]]), np.array([1]))
    assert refused.value.code == "outputs_not_finite"


def test_binary_cross_entropy_of_logits_is_that_of_pytorch() -> None:
    """``F.binary_cross_entropy_with_logits(LOGITS, CHANCES, reduction='sum') / 3``."""
    found = binary_cross_entropy(BinaryCrossEntropy(of="logits"), LOGITS, CHANCES)
    assert found.mean() == pytest.approx(8.989392718227615, rel=1e-12)


def test_binary_cross_entropy_of_probabilities_is_that_of_pytorch() -> None:
    """``F.binary_cross_entropy(sigmoid(LOGITS), CHANCES)``, whose mean is over elements."""
    chances = 1 / (1 + np.exp(-LOGITS))
    found = binary_cross_entropy(BinaryCrossEntropy(over="mean"), chances, CHANCES)
    assert found.mean() == pytest.approx(1.4982321197046011, rel=1e-9)


def test_a_sure_mistake_costs_as_much_as_in_keras() -> None:
    found = binary_cross_entropy(BinaryCrossEntropy(), np.array([[0.0]]), np.array([[1.0]]))
    assert found[0] == pytest.approx(-np.log(1e-7))


def test_what_rounds_beyond_one_is_a_probability_and_a_logit_is_none() -> None:
    metric = BinaryCrossEntropy()
    assert binary_cross_entropy(metric, np.array([[1.004]]), np.array([[1.0]]))[0] == pytest.approx(0, abs=1e-6)
    with pytest.raises(BadInput, match="of: logits"):
        binary_cross_entropy(metric, LOGITS, CHANCES)
    with pytest.raises(BadInput, match="from 0 to 1"):
        binary_cross_entropy(metric, CHANCES, LOGITS)
