"""Judges a candidate that was chosen, on samples and loads that chose nothing."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from enxuto.report import Candidate, Measurements
from enxuto.search.evaluating import evaluation_files, evaluation_step, scored
from enxuto.search.looks import Look
from enxuto.search.measured import measure_memory, time_models, with_memory
from enxuto.search.plan import PlanFailed, Reply, Task, found
from enxuto.search.timing import CONFIRMING, with_times
from enxuto.search.trial import Looked, Trials, subject_of
from enxuto.steps import Evaluation, EvaluationFiles, Failed, Samples

_LOADS_APART = 100
"""Numbers of loads from one look to the next: none shares another's luck."""


def confirm(trials: Trials, look: Look) -> Generator[Task, Reply, Candidate]:
    """Evaluate, time and weigh the candidate beside the original; what fails is among the findings of the trials."""
    candidate, samples = look.candidate, trials.splits.confirmation
    before, after = Measurements(), Measurements()
    if samples and trials.request.metric:
        before, after = yield from _evaluate_both(trials, look, samples)
    subjects = [trials.baseline, subject_of(candidate)]
    first_load = CONFIRMING.first_load + _LOADS_APART * len(trials.looks)
    effort = replace(CONFIRMING, first_load=first_load, confidence=look.confidence)
    outcome = yield from time_models(trials, subjects, samples, effort, "confirm", 0.85, 0.1)
    if isinstance(outcome, Failed):
        trials.findings[candidate.name] = outcome.finding
    else:
        original, winner = outcome.timed
        before, after = with_times(before, original), with_times(after, winner)
    known = trials.looks[-1].baseline.memory if trials.looks else None
    looked = Looked(candidate.name, look.confidence, before, list(trials.latest_noise))
    trials.looks.append(looked)
    _record(trials, looked, before, after)  # before memory is measured: a stop must not lose it
    for_original = known or (yield from measure_memory(trials, trials.baseline, samples, 0.96))
    for_winner = yield from measure_memory(trials, subject_of(candidate), samples, 0.97)
    return _record(trials, looked, with_memory(before, for_original), with_memory(after, for_winner))


def _record(trials: Trials, looked: Looked, before: Measurements, after: Measurements) -> Candidate:
    """Keep what was seen of the original and of the candidate."""
    looked.baseline = before
    trials.original = trials.original.model_copy(update={"confirmation": before})
    confirmed = trials.named(looked.candidate).model_copy(update={"confirmation": after})
    trials.replace(confirmed)
    return confirmed


def _evaluate_both(
    trials: Trials, look: Look, samples: Samples
) -> Generator[Task, Reply, tuple[Measurements, Measurements]]:
    before, reference = yield from _evaluate_original(trials, samples)
    candidate = look.candidate
    step = evaluation_step(trials, subject_of(candidate), samples, reference, look.confidence)
    reply = yield Task(step, trials.progress("confirm", f"evaluating {candidate.name} on fresh samples", 0.83))
    if isinstance(reply.outcome, Failed):
        trials.findings[candidate.name] = reply.outcome.finding
        return before, Measurements()
    return before, scored(found(reply.outcome, Evaluation))


def _evaluate_original(
    trials: Trials, samples: Samples
) -> Generator[Task, Reply, tuple[Measurements, EvaluationFiles]]:
    """Once, however many candidates are looked at."""
    if trials.proving is None:
        step = evaluation_step(trials, trials.baseline, samples, None)
        reply = yield Task(step, trials.progress("confirm", "evaluating the original on fresh samples", 0.8))
        if isinstance(reply.outcome, Failed):
            raise PlanFailed(reply.outcome.finding)
        original = found(reply.outcome, Evaluation)
        trials.proving = scored(original), evaluation_files(original, reply.outcome.files)
    return trials.proving
