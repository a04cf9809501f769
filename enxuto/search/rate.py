"""Decides which rate to try next, in search of the highest that holds; pure.

A single run near the edge is noise, so a rate at the edge is run until two runs agree on it, and what earlier runs said
of it may be overruled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

RESOLUTION = 0.03
"""The highest rate that holds and the lowest that does not are this close when the search ends."""
_HALVINGS = 6
"""Below the first rate that was tried: where even the lowest of them does not hold, none does."""
_AGREEING = 2
MOST_RUNS = 30


@dataclass
class Votes:
    """What the runs at each rate said."""

    start: float
    """The first rate to try."""
    most: float = inf
    """No higher rate is tried."""
    runs: list[tuple[float, bool]] = field(default_factory=list)
    """Rate, and whether it held."""

    @property
    def lowest_failing(self) -> float | None:
        return min((rate for rate in self._rates() if not self.holds(rate)), default=None)

    @property
    def highest_holding(self) -> float | None:
        """Below every rate that does not hold."""
        failing = self.lowest_failing
        return max((rate for rate in self._rates() if failing is None or rate < failing), default=None)

    def holds(self, rate: float) -> bool:
        """By majority; a tie does not."""
        held = [holds for at, holds in self.runs if at == rate]
        return 2 * sum(held) > len(held)

    def count(self, rate: float) -> int:
        return sum(at == rate for at, _ in self.runs)

    def next_rate(self) -> float | None:
        """None when the bracket is narrow and both of its ends are certain, or enough was tried."""
        if len(self.runs) >= MOST_RUNS:
            return None
        return self._to_narrow() or self._to_confirm()

    def _to_narrow(self) -> float | None:
        holding, failing = self.highest_holding, self.lowest_failing
        if holding is None and failing is None:
            return min(self.start, self.most)
        if failing is None:
            return min(2 * (holding or self.start), self.most) if holding != self.most else None
        if holding is None:
            return failing / 2 if failing > self.start / 2**_HALVINGS * 1.5 else None
        return (holding + failing) / 2 if failing > holding * (1 + RESOLUTION) else None

    def _to_confirm(self) -> float | None:
        ends = (self.highest_holding, self.lowest_failing)
        return next((rate for rate in ends if rate is not None and not self._certain(rate)), None)

    def _certain(self, rate: float) -> bool:
        held = [holds for at, holds in self.runs if at == rate]
        return max(sum(held), len(held) - sum(held)) >= _AGREEING

    def _rates(self) -> set[float]:
        return {rate for rate, _ in self.runs}
