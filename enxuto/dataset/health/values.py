"""Samples whose values cannot be right: infinite, all the same, or far outside of what the others hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from enxuto.dataset.health.look import InputLook, Look
from enxuto.dataset.health.words import examples, figure, role_name, share_of
from enxuto.steps import DataFinding

_FAR = 2.0
"""Widths of the usual range beyond its ends."""
_OTHER_SCALE = 4.0
"""So many times wider or narrower, a range was prepared in another way."""
_LARGEST_BYTE, _BYTES_FROM = 255.0, 64.0
_SCALE_HINT = (
    "Check that both datasets are prepared alike, as the model wants it: scaled, mean taken off, channels in order. "
    "'preprocessing' in the request does it for bytes."
)


@dataclass(frozen=True)
class _Usual:
    """Between what samples usually reach: nineteen of twenty stay above the one and below the other."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return max(self.high - self.low, 1e-12)


def unsound(role: str, look: Look) -> Iterator[DataFinding]:
    """Of one role by itself."""
    for name, one in look.inputs.items():
        infinite, constant = np.flatnonzero(~one.finite), np.flatnonzero(one.constant)
        if len(infinite):
            yield DataFinding(
                code="not_finite", role=role_name(role), input=name, count=len(infinite),
                examples=examples(look.places(infinite)),
                detail=f"In {share_of(len(infinite), look.count)} {role} samples, input {name!r} holds infinity or "
                "NaN.",
                hint="Take them out, or fill in what is missing: one of them ruins every range that is taken from it.",
            )  # fmt: skip
        if len(constant):
            yield DataFinding(
                code="constant_samples", role=role_name(role), input=name, count=len(constant),
                examples=examples(look.places(constant)),
                detail=f"In {share_of(len(constant), look.count)} {role} samples, input {name!r} has one and the same "
                f"value throughout, such as {figure(float(one.lows[constant[0]]))}: they look empty.",
                hint="Look at them: an image that failed to load is often all zero.",
            )  # fmt: skip
        yield from _looks_like_bytes(role, look, one)


def _looks_like_bytes(role: str, look: Look, one: InputLook) -> Iterator[DataFinding]:
    """Images as they are stored, where the model takes real numbers."""
    real_images = "float" in one.spec.dtype and one.spec.shape is not None and len(one.spec.shape) == 4
    if not (real_images and one.whole and look.count) or one.lows.min() < 0:
        return
    highest = float(one.highs.max())
    if _BYTES_FROM < highest <= _LARGEST_BYTE:
        yield DataFinding(
            code="out_of_range", role=role_name(role), input=one.spec.name, count=look.count,
            detail=f"All {role} samples of input {one.spec.name!r} are whole numbers from 0 to {highest:.0f}, as "
            "images are stored: most models want them scaled, and few scale them by themselves.",
            hint=_SCALE_HINT,
        )  # fmt: skip


def out_of_range(calibration: Look, evaluation: Look) -> Iterator[DataFinding]:
    """Held against each other: prepared in another way as a whole, or single samples that lie far outside."""
    for name, one in calibration.inputs.items():
        other = evaluation.inputs[name]
        if one.spec.dtype.startswith(("int", "uint", "bool")):
            continue
        usual, expected = _usual(one), _usual(other)
        if usual is None or expected is None:
            continue
        if _prepared_otherwise(usual, expected):
            yield DataFinding(
                code="out_of_range", role="both", input=name,
                detail=f"Input {name!r} holds values from {figure(usual.low)} to {figure(usual.high)} in calibration "
                f"and from {figure(expected.low)} to {figure(expected.high)} in evaluation (so do nineteen of twenty "
                "samples): the two are not prepared alike.",
                hint=_SCALE_HINT,
            )  # fmt: skip
            continue
        yield from _far_outside("calibration", calibration, one, expected)
        yield from _far_outside("evaluation", evaluation, other, usual)


def _far_outside(role: str, look: Look, one: InputLook, usual: _Usual) -> Iterator[DataFinding]:
    reach = _FAR * usual.width
    far = np.flatnonzero((one.highs > usual.high + reach) | (one.lows < usual.low - reach))
    if len(far):
        worst = max(float(one.highs[far].max()), float(one.lows[far].min()), key=abs)
        yield DataFinding(
            code="out_of_range", role=role_name(role), input=one.spec.name, count=len(far),
            examples=examples(look.places(far)),
            detail=f"In {share_of(len(far), look.count)} {role} samples, input {one.spec.name!r} reaches "
            f"{figure(worst)}, where values usually lie between {figure(usual.low)} and {figure(usual.high)}.",
            hint="Look at them: one such sample makes the range of an activation so wide that all others get few "
            "levels. If they are right, calibrate by percentile or by mean squared error.",
        )  # fmt: skip


def _prepared_otherwise(one: _Usual, other: _Usual) -> bool:
    """Another scale, or ranges that hardly meet."""
    ratio = one.width / other.width
    meet = min(one.high, other.high) - max(one.low, other.low)
    return not 1 / _OTHER_SCALE < ratio < _OTHER_SCALE or meet < 0.25 * min(one.width, other.width)


def _usual(one: InputLook) -> _Usual | None:
    known = np.isfinite(one.lows) & np.isfinite(one.highs)
    if not known.any():
        return None
    return _Usual(float(np.quantile(one.lows[known], 0.05)), float(np.quantile(one.highs[known], 0.95)))
