"""What could be done about a layer that costs accuracy, in a sentence; light."""

from __future__ import annotations

from dataclasses import dataclass

from enxuto.words import factor

_STRETCHED = 4.0
"""Times beyond the rest, from which on few values waste two bits of the range."""
_UNLIKE_CHANNELS = 16.0
"""Times, from which on half of the channels have four bits left at most."""
_UNLIKE_WEIGHTS = 8.0


@dataclass(frozen=True)
class Symptoms:
    """What is seen at a layer and at what it reads."""

    input: str | None
    reads_integers: bool
    """Whether the input is quantized on its way in."""
    outlier_ratio: float
    channel_spread: float | None
    weight_spread: float | None
    one_weight_scale: bool
    """Whether all output channels share a scale."""
    weight_bits: int | None
    """What weights are stored in; null for floats."""
    came_quantized: bool = False
    """Whether the original has integers already: its ranges are nobody's choice here."""


def advise(seen: Symptoms) -> str:
    """The cause that stands out most; none of them, and the layer is best kept in floating point."""
    if seen.came_quantized:
        return (
            "The model came quantized, and ranges are its own: what differs is how its integers are computed or fused. "
            "Leave the technique out where that matters, or start from the float model."
        )
    causes = []
    if seen.one_weight_scale and (seen.weight_spread or 0) >= _UNLIKE_WEIGHTS:
        causes.append((
            (seen.weight_spread or 0) / _UNLIKE_WEIGHTS,
            f"Output channels of its weights differ {factor(seen.weight_spread or 0)} and share one scale: give each "
            "channel its own (per_channel).",
        ))  # fmt: skip
    if seen.reads_integers and seen.outlier_ratio >= _STRETCHED:
        causes.append((
            seen.outlier_ratio / _STRETCHED,
            f"Few values stretch the range of '{seen.input}' to {factor(seen.outlier_ratio)} that of the rest: choose "
            "ranges by percentile or least squares (mse), or keep this layer in floating point (exclude).",
        ))  # fmt: skip
    if seen.reads_integers and (seen.channel_spread or 0) >= _UNLIKE_CHANNELS:
        causes.append((
            (seen.channel_spread or 0) / _UNLIKE_CHANNELS,
            f"The widest channel of '{seen.input}' is {factor(seen.channel_spread or 0)} as wide as the median one, "
            "and all share a step: scale channels alike first (equalization; smooth_quant in transformers), or keep "
            "this layer in floating point (exclude).",
        ))  # fmt: skip
    return max(causes)[1] if causes else _general(seen)


def _general(seen: Symptoms) -> str:
    if seen.weight_bits is not None and seen.weight_bits < 8:
        return (
            f"Its weights take {seen.weight_bits} bits: give it 8, smaller blocks, or a method that uses data (gptq)."
        )
    if seen.weight_bits is None and not seen.reads_integers:
        return (
            "Nothing in it is quantized: it computes in floats of fewer bits, or in another order. Keep it as it was "
            "(exclude, where the technique has that) if its accuracy is needed."
        )
    return "Nothing stands out in its ranges: keep this layer in floating point (exclude) if its accuracy is needed."
