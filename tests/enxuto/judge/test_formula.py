"""An expression comes to the number that NumPy gives, one a sample; what does not go together is refused."""

from __future__ import annotations

import numpy as np
import pytest

from enxuto.errors import BadInput
from enxuto.expression import Name
from enxuto.judge.formula import Formula

RANDOM = np.random.default_rng(0)
N = 6
ARRAYS = {
    "outputs": RANDOM.standard_normal((N, 5)).astype(np.float32),
    "wide": RANDOM.standard_normal((N, 3, 5)),
    "labels": RANDOM.integers(0, 5, N),
    "original": RANDOM.standard_normal((N, 5)),
    "flags": RANDOM.random((N, 5)) > 0.5,
    "text": np.array(["a"] * N),
}


def read(name: Name) -> np.ndarray:
    key = name.name or name.space
    if key not in ARRAYS:
        raise LookupError(f"there is no {key}")
    return ARRAYS[key]


def computed(text: str) -> np.ndarray:
    return Formula(text)(read, N)


X, W, Y, ORIGINAL = (ARRAYS[name].astype(np.float64) for name in ("outputs", "wide", "labels", "original"))
LENGTHS = np.linalg.norm(X, axis=1) * np.linalg.norm(ORIGINAL, axis=1)
SOFT = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("argmax(output) == labels", X.argmax(1) == Y),
        ("mean(abs(output - original))", np.abs(X - ORIGINAL).mean(1)),
        ("sum(outputs.wide)", W.sum((1, 2))),
        ("max(mean(outputs.wide, axis=-1))", W.mean(2).max(1)),
        ("min(sum(outputs.wide, axis=(1, 2), keepdims=true))", W.sum((1, 2))),
        ("norm(output - original)", np.linalg.norm(X - ORIGINAL, axis=1)),
        ("cosine(output, original)", (X * ORIGINAL).sum(1) / LENGTHS),
        ("-log(take(softmax(output), labels))", -np.log(SOFT[np.arange(N), Y.astype(int)])),
        ("output[:, 1] * 2 ** 3 / 4 - -1", X[:, 1] * 2 + 1),
        ("mean(outputs.wide[:, 0, 1:-1])", W[:, 0, 1:-1].mean(1)),
        ("mean(output - labels)", (X - Y[:, None]).mean(1)),
        ("sum(where(output > 0 and not output > 1, output, 0))", np.where((X > 0) & (X <= 1), X, 0).sum(1)),
        ("sum(output < 0 | output > 1)", ((X < 0) | (X > 1)).sum(1)),
        ("mean(clip(output, -.5, .5) + min(output, original) + max(output, 0))",
         (np.clip(X, -.5, .5) + np.minimum(X, ORIGINAL) + np.maximum(X, 0)).mean(1)),
        ("mean(sigmoid(output * 1000))", (1 / (1 + np.exp(-np.clip(X * 1000, -700, 700)))).mean(1)),
        ("mean(round(sqrt(exp(tanh(output)))))", np.round(np.sqrt(np.exp(np.tanh(X)))).mean(1)),
        ("mean(outputs.flags)", ARRAYS["flags"].mean(1)),
        ("mean(equal(labels, labels))", np.ones(N)),
        ("norm(labels) - abs(labels)", np.zeros(N)),
    ],
)  # fmt: skip
def test_it_is_what_numpy_gives(text: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(computed(text), expected.astype(np.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("output", r"has the shape \[6, 5\], not \[6\]: mean"),
        ("1 + 2", "it is a constant"),
        ("mean(output - outputs.wide)", r"\[6, 5\] and \[6, 3, 5\] do not go together"),
        ("mean(output[:, :2] - output[:, :3])", "do not go together"),
        ("log(labels - labels)", "6 of 6 samples in a batch come to NaN or infinity"),
        ("output[:, 7]", "out of bounds"),
        ("output[:, 1, 1]", "has no 3 axes"),
        ("mean(output, axis=2)", "no axis 2"),
        ("mean(output[:, 3:3])", "is empty"),
        ("mean(outputs.nothing)", "there is no nothing"),
        ("mean(outputs.text)", "only numbers"),
        ("take(output, labels + 5)", "whole numbers from 0 to 4"),
        ("take(output, output)", "places of the shape"),
        ("cosine(output, outputs.wide)", "do not go together"),
        ("cosine(labels, labels)", "cosine wants two arrays"),
        ("10 ** 10 ** 10 + labels", "NaN or infinity"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        computed(text)
    assert refused.value.code == "expression_fails"
    assert refused.value.detail.endswith("^")


def test_arrays_do_not_grow_beyond_bounds() -> None:
    """[n, 5000, 1] beside [n, 1, 5000] would come to 25 million elements a sample."""
    ARRAYS["column"], ARRAYS["row"] = np.zeros((1, 5000, 1)), np.zeros((1, 1, 5000))
    with pytest.raises(BadInput, match="25,000,000 elements, more than is computed here"):
        Formula("sum(outputs.column + outputs.row)")(read, 1)


def test_what_a_sample_gets_does_not_depend_on_those_beside_it() -> None:
    text = "mean(softmax(output) * original) + argmax(output) - labels"
    whole = computed(text)

    def one(row: int) -> np.ndarray:
        return Formula(text)(lambda name: read(name)[row : row + 1], 1)

    np.testing.assert_array_equal(np.concatenate([one(row) for row in range(N)]), whole)
