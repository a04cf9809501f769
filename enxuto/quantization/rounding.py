"""Weights to integers: each to the nearest, or so that the errors of those that are summed up cancel.

Source of the second way: Guo et al., "SQuant: On-the-Fly Data-Free Quantization via Diagonal Hessian Approximation",
ICLR 2022. Inputs of a filter resemble each other: neighbouring pixels are alike, and behind a ReLU all have one sign.
The output's error is then about their mean times the *sum* of the filter's errors, which nearest rounding leaves to
chance. Some values are rounded the other way, those closest to the middle first, until the errors of each kernel sum
up to at most half a step, and so do those of each output channel. Integers are those of the authors' code, all of them
on two real networks (docs/methods.md).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Rounding = Literal["nearest", "squant"]


def rounded(steps: np.ndarray, limit: int, how: Rounding) -> np.ndarray:
    """int8 within ± ``limit`` of weights given in steps: output channels first, then input channels, then taps."""
    nearest: np.ndarray = np.rint(steps).clip(-limit, limit)
    if how == "squant":
        nearest = _with_sums_kept(steps, nearest, limit)
    return nearest.astype(np.int8)


def _with_sums_kept(steps: np.ndarray, integers: np.ndarray, limit: int) -> np.ndarray:
    outputs = len(steps)
    taps = int(np.prod(steps.shape[2:]))
    kernels = -1 if taps > 1 else 1  # a kernel of one tap has no sum: then all inputs of an output are one kernel
    real = steps.reshape(outputs, kernels, taps if taps > 1 else steps.size // outputs)
    whole = integers.reshape(real.shape)
    left, candidates = _balance_kernels(real, whole, limit)
    if real.shape[1] > 1:
        _balance_outputs(whole, real, left, candidates, limit)
    return whole.reshape(steps.shape)


def _balance_kernels(real: np.ndarray, whole: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Change ``whole`` in place; the error that each kernel is left with, and its value to be changed next."""
    errors = whole - real
    sums = errors.sum(axis=2)
    towards = np.sign(sums)[:, :, None]
    numbers = np.rint(np.abs(sums)).astype(np.int64)
    gain = errors * towards
    gain[np.abs(whole - towards) > limit] = -np.inf
    most = min(int(numbers.max(initial=0)) + 1, real.shape[2])
    order = _largest_first(gain, most)
    chosen = np.arange(most) < numbers[:, :, None]
    steps_back = np.where(chosen, towards, 0.0)
    np.put_along_axis(whole, order, np.take_along_axis(whole, order, axis=2) - steps_back, axis=2)
    too_far = numbers >= np.abs(sums)
    following = np.clip(np.where(too_far, numbers - 1, numbers), 0, most - 1)
    candidates = np.take_along_axis(order, following[:, :, None], axis=2)
    return sums - towards[:, :, 0] * numbers, candidates


def _balance_outputs(whole: np.ndarray, real: np.ndarray, left: np.ndarray, candidates: np.ndarray, limit: int) -> None:
    """Change in place at most one value of each kernel, whose own error stays below one step."""
    sums = left.sum(axis=1)
    towards = np.sign(sums)[:, None]
    numbers = np.rint(np.abs(sums)).astype(np.int64)
    values = np.take_along_axis(whole, candidates, axis=2)[:, :, 0]
    errors = values - np.take_along_axis(real, candidates, axis=2)[:, :, 0]
    possible = (np.sign(left) == towards) & (np.abs(values - towards) <= limit)
    gain = np.where(possible, np.abs(errors), -np.inf)
    most = min(max(int(numbers.max(initial=0)), 1), gain.shape[1])
    order = _largest_first(gain, most)
    chosen = (np.arange(most) < numbers[:, None]) & np.take_along_axis(possible, order, axis=1)
    changed = values.copy()
    np.put_along_axis(changed, order, np.take_along_axis(values, order, axis=1) - chosen * towards, axis=1)
    np.put_along_axis(whole, candidates, changed[:, :, None], axis=2)


def _largest_first(gain: np.ndarray, most: int) -> np.ndarray:
    """Positions of the ``most`` largest along the last axis; of equal ones, the first."""
    if most < gain.shape[-1] // 4:
        top = np.sort(np.argpartition(-gain, most - 1, axis=-1)[..., :most], axis=-1)
        order = np.argsort(-np.take_along_axis(gain, top, axis=-1), axis=-1, kind="stable")
        return np.take_along_axis(top, order, axis=-1)
    return np.argsort(-gain, axis=-1, kind="stable")[..., :most]
