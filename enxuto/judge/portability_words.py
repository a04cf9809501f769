"""Sentences about how a model fares on other kinds of processor, and what is decided on the way to them."""

from __future__ import annotations

from enxuto.judge.emulate.products import Product
from enxuto.judge.emulate.run import Emulated
from enxuto.processor import Processor
from enxuto.steps import Fidelity, ProcessorAccuracy
from enxuto.words import limit_percent

ROUNDING = "Outputs can differ by rounding."
WITHOUT_SATURATION = (
    "Products of 8-bit numbers are added up in 32 bits there as they are here, without saturation; integers can differ "
    "by one level where a rounding falls the other way."
)
_LARGEST_FALL_DB = 1.0
_MOST_NOISE_DB = 10.0
"""A fall beyond which choices that stayed on a few samples say nothing of others: ten times the noise."""
_INAUDIBLE_DB = 40.0
"""An error of a hundredth of the outputs: how much of it comes from saturation does not matter."""
_EXACT_SWITCH = (
    "With ONNX Runtime, session.x64quantprecision=1 avoids it there at the cost of speed; so does a variant with 7-bit "
    "weights (static_int8 with processor x86_avx2)."
)


def bounded(there: Processor, count: int) -> ProcessorAccuracy:
    why = (
        f"Pairs of products are added in 16 bits on one of the two kinds of processor, and no two neighbouring weights "
        f"of any of the {count} integer layers are large enough to saturate, whatever is fed. {ROUNDING}"
    )
    return ProcessorAccuracy(processor=there, method="bounded", holds=True, saturated_share=0.0, why=why)


def not_emulated(there: Processor, what: str) -> ProcessorAccuracy:
    why = (
        f"Weights are large enough for sums of pairs to saturate in 16 bits, and {what} cannot be worked out here: "
        f"evaluate it on such a processor. {_EXACT_SWITCH}"
    )
    return ProcessorAccuracy(processor=there, method="bounded", holds=None, why=why)


def too_costly(there: Processor, loud: int, count: int) -> ProcessorAccuracy:
    why = (
        f"Weights of {loud} of {count} integer layers are large enough for sums of pairs to saturate in 16 bits, and "
        f"the model is too large to work out how often that happens: evaluate it on such a processor. {_EXACT_SWITCH}"
    )
    return ProcessorAccuracy(processor=there, method="bounded", holds=None, why=why)


def verdict(there: Processor, seen: Emulated, loud: list[Product], *, real_data: bool) -> ProcessorAccuracy:
    """By whether choices change, and how far the ratio of signal to noise falls.

    More noise that changes no choice leaves it open: on other samples it may.
    """
    holds = _holds(seen)
    on = f"{seen.samples} samples" if real_data else f"{seen.samples} random inputs"
    said = (
        f"On {on}, {_share(seen.saturated_share)} of the pairs of products saturate in 16 bits, in "
        f"{len(loud)} layer{'s' * (len(loud) != 1)} whose weights are large enough for it. The outputs' ratio of "
        f"signal to noise against the original is {_db(seen.there)} there and {_db(seen.here)} here{_choices(seen)}."
    )
    if holds and not real_data:
        return ProcessorAccuracy(
            processor=there, method="emulated", holds=None, saturated_share=seen.saturated_share,
            sqnr_db=seen.there.sqnr_db, why=f"{said} Real samples may saturate more: give some.",
        )  # fmt: skip
    return ProcessorAccuracy(
        processor=there, method="emulated", holds=holds, saturated_share=seen.saturated_share,
        sqnr_db=seen.there.sqnr_db, why=said if holds else f"{said}{_more_noise(seen)} {_EXACT_SWITCH}",
    )  # fmt: skip


def _holds(seen: Emulated) -> bool | None:
    if seen.there.nonfinite > seen.here.nonfinite:
        return False
    if (seen.there.agreement or 0.0) < (seen.here.agreement or 0.0):
        return False
    if _number(seen.there) > min(_number(seen.here) - _LARGEST_FALL_DB, _INAUDIBLE_DB):
        return True
    return None if _only_noise(seen) else False


def _only_noise(seen: Emulated) -> bool:
    """Whether the outputs get a little noisier, and choose as before."""
    return _chooses_alike(seen) and _number(seen.there) >= _number(seen.here) - _MOST_NOISE_DB


def _chooses_alike(seen: Emulated) -> bool:
    return seen.there.agreement is not None and seen.there.agreement == seen.here.agreement


def _more_noise(seen: Emulated) -> str:
    """What to think of noise that changed no choice."""
    if not _chooses_alike(seen) or _holds(seen):
        return ""
    fall_db = min(_number(seen.here), 99.0) - _number(seen.there)
    return f" No choice changed on these samples; noise {10 ** (fall_db / 10):,.3g} times as strong may change others."


def _number(fidelity: Fidelity) -> float:
    return float("inf") if fidelity.sqnr_db is None else fidelity.sqnr_db


def _db(fidelity: Fidelity) -> str:
    return "without limit" if fidelity.sqnr_db is None else f"{fidelity.sqnr_db:.1f} dB"


def _share(share: float) -> str:
    million = share * 1e6
    if million > 999_999:
        return "all"
    return "none" if not share else f"{f'{million:,.0f}' if million >= 100 else f'{million:.2g}'} in a million"


def _choices(seen: Emulated) -> str:
    if seen.there.agreement is None or seen.here.agreement is None:
        return ""
    there, here = (limit_percent(round(each, 4)) for each in (seen.there.agreement, seen.here.agreement))
    return f"; the choice is the original's on {there} there and {here} here"
