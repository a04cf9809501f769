"""What was seen while models were timed that can keep a verdict from being reached, in words; light."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from enxuto.steps import Estimate, HostNoise
from enxuto.words import unit


def clocks_agree(wall: Estimate, cpu: Estimate, margin: float) -> bool:
    """Whether two speedups, by wall and by processor time, can be the same: their intervals meet when each is widened
    by the margin.

    Of one thread alone. Several threads spin while they wait for each other, or sleep, as the runtime likes: their
    processor time is then no measure of work done.
    """
    reach = (1 + margin) ** 2
    return wall.low <= cpu.high * reach and cpu.low <= wall.high * reach


def unrest(load_ratios: Sequence[float], noise: Sequence[HostNoise]) -> str:
    """Spread between loads and everything that the host told, as a phrase; empty where nothing is known."""
    seen = []
    if len(load_ratios) > 1:
        spread = stdev(math.log(ratio) for ratio in load_ratios)
        seen.append(f"the ratio varied by {_percent(spread)} (standard deviation) between {len(load_ratios)} loads")
    for pick, phrase in _SHARES:
        known = [share for each in noise if (share := pick(each)) is not None]
        if known:
            seen.append(phrase.format(_percent(fmean(known))))
    if loads := [each.load_1m for each in noise if each.load_1m is not None]:
        seen.append(f"the machine's load was {max(loads):.1f}")
    return ", ".join(seen)


_SHARES: list[tuple[Callable[[HostNoise], float | None], str]] = [
    (lambda each: each.disturbed_share, "{} of the rounds were disturbed by somebody else on the same core"),
    (lambda each: each.steal_share, "{} of the time was stolen by the hypervisor"),
    (lambda each: each.pressure_share, "some task waited for a processor {} of the time"),
]


def _percent(share: float) -> str:
    return unit(f"{100 * share:.1f}", "%")
