"""Says why: which layers cost a candidate its accuracy, which operators its time. Decides nothing."""

from __future__ import annotations

from collections.abc import Generator

from enxuto.errors import Finding
from enxuto.goal import Goal
from enxuto.report import Candidate
from enxuto.search.choose import ORIGINAL, candidate_cost
from enxuto.search.costs import call_s
from enxuto.search.mixing import profile
from enxuto.search.parts import first
from enxuto.search.plan import Reply, Task, found
from enxuto.search.portable import ASSESSING_S, assess
from enxuto.search.slower import slower_operators
from enxuto.search.trial import Trials, subject_of
from enxuto.settings import RunSettings
from enxuto.steps import DiagnoseModel, Diagnosis, Failed, Subject

_MOST_DIAGNOSED, _MOST_PROFILED = 3, 2
_SAMPLES = 16
_PROCESS_S = 5.0
_LEAST_S, _SHARE = 10.0, 0.05
"""No further candidate is looked into once this many seconds, or this share of what the search took, went into it."""


def explain(trials: Trials, goal: Goal, winner: Candidate | None) -> Generator[Task, Reply, None]:
    """Look into what was tried, as far as time is left: everything is decided already, so what fails is left out."""
    if winner and winner.model and winner.model.sha256 != trials.model.file and _spares(trials, ASSESSING_S):
        outcome = yield from assess(trials, winner)
        trials.portability = None if isinstance(outcome, Finding) else outcome
    until_s = trials.meter.spent_s + max(_LEAST_S, _SHARE * trials.meter.spent_s)
    for candidate in losing(trials, goal, winner)[:_MOST_DIAGNOSED]:
        if trials.meter.spent_s < until_s and _spares(trials, _PROCESS_S + 4 * _SAMPLES * call_s(trials)):
            yield from _diagnose(trials, candidate)
    for candidate in slow(trials)[:_MOST_PROFILED]:
        if trials.meter.spent_s < until_s and _spares(trials, 2 * _PROCESS_S):
            yield from _profile(trials, candidate)


def _spares(trials: Trials, seconds: float) -> bool:
    left = trials.meter.remaining_s
    return left is None or left >= seconds


def losing(trials: Trials, goal: Goal, winner: Candidate | None) -> list[Candidate]:
    """Candidates that clearly lost accuracy, a file each: the winner first, then the best by what is asked."""
    ran = [each for each in trials.candidates if each.model and each.model.sha256 in trials.made]
    lost = [each for each in ran if _lost(goal, each)]
    lost.sort(key=lambda each: (winner is None or each.name != winner.name, candidate_cost(goal, each)))
    files = {each.model.sha256: each for each in reversed(lost) if each.model}
    return [each for each in lost if each.model and files[each.model.sha256] is each]


def slow(trials: Trials) -> list[Candidate]:
    """Candidates that got slower by more than the margin, the slowest first: not those of which the original may be as
    slow under their runtime, since no operator of theirs is to blame.
    """
    margin = trials.request.margin
    ran = [each for each in trials.candidates if each.model and each.model.sha256 in trials.made and each.recipe]
    slower = [
        each
        for each in ran
        if each.selection.speedup
        and each.selection.speedup.value * (1 + margin) < 1.0
        and each.selection.speedup.high < _of_the_original(trials, each.settings)
    ]
    return sorted(slower, key=lambda each: each.selection.speedup.value if each.selection.speedup else 1.0)


def _of_the_original(trials: Trials, settings: RunSettings) -> float:
    """What its speedup may have been at least under this runtime; 1 where it was not timed under another."""
    if settings == trials.usual:
        return 1.0
    alone = [each for each in trials.candidates if not each.recipe and each.settings.runtime == settings.runtime]
    return min((each.selection.speedup.low for each in alone if each.selection.speedup), default=1.0)


def _profile(trials: Trials, candidate: Candidate) -> Generator[Task, Reply, None]:
    """Lay the profiles side by side, both under the candidate's settings: what is slower then is the file's doing."""
    before = yield from profile(trials, Subject(model=trials.model.file, settings=candidate.settings), 0.99)
    after = yield from profile(trials, subject_of(candidate), 0.99)
    if before and after:
        known = trials.named(candidate.name)
        trials.replace(known.model_copy(update={"slower": slower_operators(before, after)}))


def _lost(goal: Goal, candidate: Candidate) -> bool:
    drop = candidate.selection.drop
    if drop is None or candidate.name == ORIGINAL:
        return False
    return drop.low > 0 or (goal.max_drop is not None and drop.value > goal.max_drop.value)


def _diagnose(trials: Trials, candidate: Candidate) -> Generator[Task, Reply, None]:
    if trials.splits.selection is None:
        return
    step = DiagnoseModel(
        original=trials.model.file,
        subject=subject_of(candidate),
        samples=first(trials.splits.selection, _SAMPLES),
        preprocessing=trials.request.preprocessing,
        workload=trials.request.workload,
    )
    reply = yield Task(step, trials.progress("diagnose", f"looking for where {candidate.name} loses", 0.98))
    if not isinstance(reply.outcome, Failed):
        known = trials.named(candidate.name)
        trials.replace(known.model_copy(update={"diagnosis": found(reply.outcome, Diagnosis)}))
