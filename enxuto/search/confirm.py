"""Judges the one candidate that was chosen, once, on samples and loads that chose nothing."""

from __future__ import annotations

from collections.abc import Generator

from enxuto.report import Candidate, Measurements
from enxuto.search.evaluating import evaluation_files, evaluation_step, scored
from enxuto.search.measured import measure_memory, time_models, with_memory
from enxuto.search.plan import PlanFailed, Reply, Task, found
from enxuto.search.timing import CONFIRMING, with_times
from enxuto.search.trial import Trials, subject_of
from enxuto.steps import Evaluation, Failed, Samples


def confirm(trials: Trials, candidate: Candidate) -> Generator[Task, Reply, Candidate]:
    """Evaluate, time and weigh the candidate beside the original; what fails is among the findings of the trials."""
    samples = trials.splits.confirmation
    before, after = Measurements(), Measurements()
    if samples and trials.request.metric:
        before, after = yield from _evaluate_both(trials, candidate, samples)
    subjects = [trials.baseline, subject_of(candidate)]
    outcome = yield from time_models(trials, subjects, samples, CONFIRMING, "confirm", 0.85, 0.1)
    if isinstance(outcome, Failed):
        trials.findings[candidate.name] = outcome.finding
    else:
        original, winner = outcome.timed
        before, after = with_times(before, original), with_times(after, winner)
    confirmed = _record(trials, candidate, before, after)  # before memory is measured: a stop must not lose it
    for_original = yield from measure_memory(trials, trials.baseline, samples, 0.96)
    for_winner = yield from measure_memory(trials, subject_of(candidate), samples, 0.97)
    return _record(trials, confirmed, with_memory(before, for_original), with_memory(after, for_winner))


def _record(trials: Trials, candidate: Candidate, before: Measurements, after: Measurements) -> Candidate:
    """Keep what was confirmed of the original and of the candidate."""
    trials.original = trials.original.model_copy(update={"confirmation": before})
    trials.confirmed = candidate.name
    confirmed = candidate.model_copy(update={"confirmation": after})
    trials.replace(confirmed)
    return confirmed


def _evaluate_both(
    trials: Trials, candidate: Candidate, samples: Samples
) -> Generator[Task, Reply, tuple[Measurements, Measurements]]:
    step = evaluation_step(trials, trials.baseline, samples, None)
    reply = yield Task(step, trials.progress("confirm", "evaluating the original on fresh samples", 0.8))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    original = found(reply.outcome, Evaluation)
    reference = evaluation_files(original, reply.outcome.files)
    step = evaluation_step(trials, subject_of(candidate), samples, reference)
    reply = yield Task(step, trials.progress("confirm", f"evaluating {candidate.name} on fresh samples", 0.83))
    if isinstance(reply.outcome, Failed):
        trials.findings[candidate.name] = reply.outcome.finding
        return scored(original), Measurements()
    return scored(original), scored(found(reply.outcome, Evaluation))
