"""Whether calibration and evaluation samples come from one and the same source.

Source: Kolmogorov and Smirnov's two-sample test with its asymptotic distribution. A difference counts where it is both
sure (over all features together, one false alarm in a thousand) and large: with many samples, any two sources differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from enxuto.dataset.batches import SampleBatches
from enxuto.dataset.health.look import InputLook, Look
from enxuto.dataset.health.words import figure, plural
from enxuto.steps import DataFinding

_FALSE_ALARMS = 0.001
_LARGE = 0.25
"""Largest difference between the two shares of samples that lie below some value."""
_MORE_THAN_HALVES = 0.15
"""By so much two roles may differ in what entries are frequent, beyond what two halves of one do."""
_FEWEST = 8
_MOST_CLASSES = 1 << 16
_HINT = (
    "Ranges taken from samples of another kind fit badly: take calibration samples from where the evaluation samples "
    "come from, in an order drawn at random."
)


@dataclass(frozen=True)
class _Difference:
    feature: str
    largest: float
    p_value: float
    before: float
    after: float
    spread: float

    @property
    def standard_errors(self) -> str:
        return figure(abs(self.after - self.before) / self.spread) if self.spread else "many"


def drift(calibration: Look, evaluation: Look, skipped: set[str | None]) -> Iterator[DataFinding]:
    """Of each input but those that are known to be prepared in another way."""
    for name, one in calibration.inputs.items():
        if name in skipped:
            continue
        other = evaluation.inputs[name]
        found = [*_shifts(one, other), *_frequencies(one, other)]
        if found:
            yield DataFinding(
                code="drift", role="both", input=name,
                detail=f"Input {name!r} is not alike in calibration and evaluation: {'; '.join(found)}.", hint=_HINT,
            )  # fmt: skip


def label_drift(calibration: SampleBatches, evaluation: SampleBatches) -> Iterator[DataFinding]:
    """Where both have class numbers."""
    tables = [_classes(each) for each in (calibration, evaluation)]
    if tables[0] is None or tables[1] is None:
        return
    size = max(len(table) for table in tables if table is not None)
    one, other = (np.pad(table, (0, size - len(table))) for table in tables if table is not None)
    between = _variation(one, other)
    if between > _MORE_THAN_HALVES + math.sqrt(np.count_nonzero(one + other) / min(one.sum(), other.sum())):
        absent = np.flatnonzero((one == 0) & (other > 0))
        lacking = f"; classes that calibration lacks: {len(absent)} of {np.count_nonzero(other)}" if len(absent) else ""
        yield DataFinding(
            code="drift", role="both",
            detail=f"Labels are not alike in calibration and evaluation: {between:.0%} of them would have to change "
            f"for each class to be as frequent in both{lacking}.",
            hint=_HINT,
        )  # fmt: skip


def _classes(samples: SampleBatches) -> np.ndarray | None:
    labels = samples.labels()
    if labels is None or labels.dtype.kind not in "iu" or labels.ndim != 1 or not len(labels):
        return None
    if labels.min() < 0 or labels.max() > _MOST_CLASSES:
        return None
    return np.bincount(labels.astype(np.int64))


def _shifts(one: InputLook, other: InputLook) -> Iterator[str]:
    names = [name for name in one.features if name in other.features]
    found = [_compared(name, one.features[name], other.features[name]) for name in names]
    sure = [each for each in found if each and each.p_value < _FALSE_ALARMS / len(names) and each.largest > _LARGE]
    if sure:
        worst = max(sure, key=lambda each: each.largest)
        rest = f", beside {plural(len(sure) - 1, 'other figure')}" if len(sure) > 1 else ""
        yield (
            f"{worst.feature} is {figure(worst.before)} on average in calibration and {figure(worst.after)} in "
            f"evaluation, {worst.standard_errors} standard errors apart, and {worst.largest:.2f} by "
            f"Kolmogorov–Smirnov, where 0 is alike and 1 wholly apart{rest}"
        )


def _compared(name: str, one: np.ndarray, other: np.ndarray) -> _Difference | None:
    if min(len(one), len(other)) < _FEWEST:
        return None
    distance = kolmogorov_smirnov(one, other)
    size = len(one) * len(other) / (len(one) + len(other))
    spread = math.sqrt(float(one.var()) / len(one) + float(other.var()) / len(other))
    return _Difference(name, distance, _p_value(distance, size), float(one.mean()), float(other.mean()), spread)


def kolmogorov_smirnov(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference between the two shares of samples that lie at or below some value."""
    values = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(each), values, side="right") / len(each) for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _p_value(distance: float, size: float) -> float:
    from scipy.special import kolmogorov

    return float(kolmogorov(math.sqrt(size) * distance))


def _frequencies(one: InputLook, other: InputLook) -> Iterator[str]:
    """Identifiers: which ones are frequent, against how much two halves of one role differ."""
    if not one.counts.size or not other.counts.size:
        return
    between = _variation(one.counts.sum(axis=0), other.counts.sum(axis=0))
    halves = max(_variation(*one.counts), _variation(*other.counts))
    if between > halves + _MORE_THAN_HALVES:
        yield (
            f"{between:.0%} of the entries would have to change for the two to use each as often, and "
            f"{halves:.0%} for two halves of one of them"
        )


def _variation(one: np.ndarray, other: np.ndarray) -> float:
    """Total variation distance between two tables of counts."""
    shares = [each / max(1, each.sum()) for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
