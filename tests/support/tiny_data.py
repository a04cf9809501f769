"""Datasets that match the tiny models, written as ``.npz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import ModelProto


def images(path: Path, *, count: int = 64, classes: int = 10, labels: bool = True, seed: int = 0) -> Path:
    """For ``convnet``: float images in NCHW, integer labels."""
    random = np.random.default_rng(seed)
    arrays = {"image": random.standard_normal((count, 3, 8, 8)).astype(np.float32)}
    if labels:
        arrays["labels"] = random.integers(0, classes, count)
    return write(path, arrays)


def byte_images(path: Path, *, count: int = 64, classes: int = 10, seed: int = 0) -> Path:
    """For ``convnet`` with a preprocessing: bytes in NHWC, as cameras leave them."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return write(path, {"image": pixels, "labels": random.integers(0, classes, count)})


def features(path: Path, *, count: int = 64, width: int = 16, classes: int = 4, seed: int = 0) -> Path:
    """For ``mlp``: float vectors, integer labels."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, width)).astype(np.float32)
    return write(path, {"x": x, "labels": random.integers(0, classes, count)})


def pairs(path: Path, *, count: int = 64, seed: int = 0) -> Path:
    """For ``two_in_two_out``: two inputs, float labels shaped as the first output."""
    random = np.random.default_rng(seed)
    left, right, labels = random.standard_normal((3, count, 6)).astype(np.float32)
    return write(path, {"left": left, "right": right, "labels": labels})


def token_rows(path: Path, *, count: int = 64, sequence: int = 12, vocabulary: int = 20, seed: int = 0) -> Path:
    """For ``tokens``: rows of token numbers, labelled with the token that follows."""
    rows = np.random.default_rng(seed).integers(0, vocabulary, (count, sequence + 1))
    return write(path, {"tokens": rows[:, :-1], "labels": rows[:, 1:]})


def labelled_by(model: ModelProto, path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Labels that the model itself gives: its accuracy on them is 1, so that every loss shows."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (scores, *_) = session.run(None, arrays)
    return write(path, {**arrays, "labels": scores.argmax(axis=-1)})


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    with path.open("wb") as file:  # given a name, numpy would append .npz
        np.savez(file, allow_pickle=False, **arrays)
    return path
