"""What is still to be spent, and whether there is time for it: guesses that steer what is tried, never what is said."""

from __future__ import annotations

from enxuto.search.splits import count
from enxuto.search.timing import CONFIRMING, SCREENING
from enxuto.search.trial import Trials

_FRESH_PROCESS_S = 1.0
_SUBJECT_S = 0.4
"""To load a small model, warm it up and time it."""
_CALLS_A_LOAD = 50
"""Of a model whose calls are slow, warm-up included."""


def affords(trials: Trials, seconds: float) -> bool:
    """Whether this much can be spent, and the best still be confirmed before the deadline."""
    left = trials.meter.remaining_s
    return left is None or left >= seconds + confirmation_reserve_s(trials)


def call_s(trials: Trials) -> float:
    """Seconds that a call of the original takes, about; 0 where nothing was evaluated."""
    chosen = count(trials.splits.selection)
    return trials.spent_evaluating_s / chosen * trials.request.workload.batch_size if chosen else 0.0


def timing_s(trials: Trials, subjects: int, loads: int) -> float:
    """Seconds that timing so many models beside the original will want at least."""
    subject_s = _SUBJECT_S + _CALLS_A_LOAD * call_s(trials)
    return loads * (_FRESH_PROCESS_S + (subjects + 1) * subject_s)


def look_s(trials: Trials) -> float:
    """Seconds that confirming one candidate will want at least, the original having been evaluated."""
    chosen, proven = count(trials.splits.selection), count(trials.splits.confirmation)
    evaluating = trials.spent_evaluating_s * (proven / chosen if chosen else 0)
    return evaluating + timing_s(trials, 1, CONFIRMING.least) + 2 * _FRESH_PROCESS_S  # the last two for memory


def confirmation_reserve_s(trials: Trials, to_time: int | None = None) -> float:
    """Seconds that timing, and confirming the best, will want at least; by default what is there and one more."""
    to_time = len(trials.alive()) + 1 if to_time is None else to_time
    chosen, proven = count(trials.splits.selection), count(trials.splits.confirmation)
    evaluating = 2 * trials.spent_evaluating_s * (proven / chosen if chosen else 0)
    timing = timing_s(trials, to_time, SCREENING.least) + timing_s(trials, 1, CONFIRMING.least)
    return evaluating + timing + 2 * _FRESH_PROCESS_S  # the last two for memory
