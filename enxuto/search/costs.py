"""What is still to be spent, and whether there is time for it: guesses that steer what is tried, never what is said.

They begin with what a small machine takes and follow what steps took here, so that on a fast one little is held back
for the end, and on a slow or busy one enough.
"""

from __future__ import annotations

import statistics

from enxuto.search.splits import count
from enxuto.search.timing import CONFIRMING, SCREENING, Effort
from enxuto.search.trial import Trials
from enxuto.steps import MeasureLatency

_FRESH_PROCESS_S = 1.0
_SUBJECT_S = 0.4
"""To load a small model, warm it up and time it over as many rounds as candidates are told apart by."""
_ROUNDS_OF_LOADING = 4
"""What loading and warming up take, counted in rounds."""
_CALLS_A_LOAD = 50
"""Of a model whose calls are slow, warm-up included."""
_LATEST = 6
"""Loads that tell what the next one takes."""
_SAFETY = 1.25
"""Times what the loads so far took."""


def affords(trials: Trials, seconds: float) -> bool:
    """Whether this much can be spent, and the best still be confirmed before the deadline."""
    left = trials.meter.remaining_s
    return left is None or left >= seconds + confirmation_reserve_s(trials)


def call_s(trials: Trials) -> float:
    """Seconds that a call of the original takes, about; 0 where nothing was evaluated."""
    chosen = count(trials.splits.selection)
    return trials.spent_evaluating_s / chosen * trials.request.workload.batch_size if chosen else 0.0


def fresh_process_s(trials: Trials) -> float:
    """Seconds before a step does anything: no more than the shortest one took."""
    return min((seconds for _, seconds in trials.meter.taken), default=_FRESH_PROCESS_S)


def pace(trials: Trials) -> float:
    """Times that a step takes here what it takes on a small machine; for guesses in its seconds."""
    return fresh_process_s(trials) / _FRESH_PROCESS_S


def timing_s(trials: Trials, subjects: int, effort: Effort) -> float:
    """Seconds that timing so many models beside the original will want at least."""
    subject_s = _subject_s(trials) * _weight(effort.rounds)
    return effort.least * (fresh_process_s(trials) + (subjects + 1) * subject_s)


def look_s(trials: Trials) -> float:
    """Seconds that confirming one candidate will want at least, the original having been evaluated."""
    return _proving_s(trials) + timing_s(trials, 1, CONFIRMING) + 2 * fresh_process_s(trials)  # these for memory


def confirmation_reserve_s(trials: Trials, to_time: int | None = None) -> float:
    """Seconds that timing, and confirming the best, will want at least; by default what is there and one more."""
    to_time = len(trials.alive()) + 1 if to_time is None else to_time
    return timing_s(trials, to_time, SCREENING) + look_s(trials) + _proving_s(trials)


def _proving_s(trials: Trials) -> float:
    """To evaluate a model on the samples that prove."""
    chosen, proven = count(trials.splits.selection), count(trials.splits.confirmation)
    fresh_s = min(fresh_process_s(trials), trials.spent_evaluating_s)
    return fresh_s + (trials.spent_evaluating_s - fresh_s) * (proven / chosen if chosen else 0)


def _subject_s(trials: Trials) -> float:
    """For each model in a load, as far as the loads so far tell."""
    seen = [(step, seconds) for step, seconds in trials.meter.taken if isinstance(step, MeasureLatency)][-_LATEST:]
    fresh_s = fresh_process_s(trials)
    each = [max(seconds - fresh_s, 0.0) / (len(step.subjects) * _weight(step.rounds)) for step, seconds in seen]
    return _SAFETY * statistics.median(each) if each else _SUBJECT_S * pace(trials) + _CALLS_A_LOAD * call_s(trials)


def _weight(rounds: int) -> float:
    """What so many rounds cost, loading included, as a share of what candidates are told apart by."""
    return (_ROUNDS_OF_LOADING + rounds) / (_ROUNDS_OF_LOADING + SCREENING.rounds)
