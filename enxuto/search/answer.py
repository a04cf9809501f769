"""From what a search knows to its report."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from enxuto.report import Candidate, Confirmation, OptimizeReport, Replay
from enxuto.search.choose import pareto_front
from enxuto.search.ending import Ending
from enxuto.search.nearest import blocking, near_misses
from enxuto.search.plan import StopReason
from enxuto.search.sieve import settle
from enxuto.search.trial import Trials
from enxuto.signature import DatasetInput


def report(
    trials: Trials,
    ending: Ending,
    stopped: StopReason | None,
    evaluation: DatasetInput | None,
    calibration: DatasetInput | None,
) -> OptimizeReport:
    """Everything that was measured, and what follows from it."""
    settle(trials)
    candidate, decision, request = ending.candidate, ending.decision, trials.request
    recommended = candidate.model if decision.winner and candidate and candidate.model else trials.original.model
    without = request.goal if request.goal and not candidate else None
    return OptimizeReport(
        model=trials.original.model,
        model_name=trials.model.name,
        inspection=trials.model.inspection,
        metric=request.metric,
        metric_name=request.metric.title if request.metric else "not measured: there was no data",
        preprocessing=request.preprocessing,
        workload=request.workload,
        machine=trials.machine,
        noise=trials.noise,
        margin=request.margin,
        replay=_replay(trials, evaluation, calibration),
        elapsed_s=trials.meter.spent_s,
        request=request,
        goal=request.goal,
        verdict=decision.verdict,
        why=decision.why,
        recommended=recommended,
        winner=candidate.name if decision.winner and candidate else None,
        unproven=candidate.name if decision.unproven and candidate else None,
        baseline=trials.original,
        candidates=_candidates(trials),
        pareto=pareto_front(trials.original, trials.candidates, request.metric, request.margin),
        splits=trials.splits.counts,
        confirmations=list(_confirmations(trials)),
        stopped=stopped,
        layers=trials.layers,
        nearest=near_misses(without, trials.candidates) if without else [],
        blocking=blocking(without, trials.candidates) if without else None,
        portability=trials.portability,
        data=trials.health,
        earlier=trials.earlier,
    )


def _candidates(trials: Trials) -> list[Candidate]:
    """What an earlier search confirmed, and this one had no reason to look at, is not confirmed here."""
    looked_at = {looked.candidate for looked in trials.looks}
    return [
        each.model_copy(update={"confirmation": None}) if trials.earlier and each.name not in looked_at else each
        for each in trials.candidates
    ]


def _confirmations(trials: Trials) -> Iterator[Confirmation]:
    for looked in trials.looks:
        if looked.decision:
            yield Confirmation(
                candidate=looked.candidate,
                confidence=looked.confidence,
                baseline=looked.baseline,
                verdict=looked.decision.verdict,
                why=looked.decision.about or looked.decision.why,
            )


def _replay(trials: Trials, evaluation: DatasetInput | None, calibration: DatasetInput | None) -> Replay:
    roles = {"evaluation": evaluation, "calibration": calibration}
    return Replay(
        model=trials.model.file,
        datasets={role: dataset.file for role, dataset in roles.items() if dataset},
        seed=trials.request.seed,
        enxuto=version("enxuto"),
    )
