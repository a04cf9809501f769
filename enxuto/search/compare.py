"""The plan of a ``compare`` job: two models on the same samples, side by side on the same machine."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from importlib.metadata import version

from enxuto.goal import MaxDrop
from enxuto.machine import Machine
from enxuto.metric import Metric
from enxuto.report import CompareReport, Measurements, ModelRef, Replay
from enxuto.request import CompareOptions
from enxuto.search.axes import accuracy_axis, all_hold, memory_axis, overall, size_axis, speed_axis
from enxuto.search.evaluating import evaluation_files, scored
from enxuto.search.memory import lowest_memory
from enxuto.search.plan import Meter, Plan, PlanFailed, Progress, Reply, Task, found, metered
from enxuto.search.resolve import resolve_compare
from enxuto.search.speed import Conditions, on_one_thread
from enxuto.search.splits import all_samples
from enxuto.search.timing import CONFIRMING, time_side_by_side, with_times
from enxuto.settings import RunSettings
from enxuto.signature import DatasetInput, ModelInput
from enxuto.steps import (
    EvaluateModel,
    Evaluation,
    EvaluationFiles,
    Failed,
    HostNoise,
    MeasureMemory,
    MemoryUse,
    Samples,
    Subject,
)
from enxuto.words import settings_words


@dataclass
class _Pair:
    """What is known so far of the two models."""

    request: CompareOptions
    model: ModelInput
    against: ModelInput
    samples: Samples | None
    of_model: Measurements = field(default_factory=Measurements)
    of_against: Measurements = field(default_factory=Measurements)
    evaluation: Evaluation | None = None
    """Of ``model``, against the other."""
    noise: list[HostNoise] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        return _subject(self.model, self.request.settings)

    @property
    def against_subject(self) -> Subject:
        return _subject(self.against, self.request.against_settings)

    @property
    def conditions(self) -> Conditions:
        settings = self.subject.settings, self.against_subject.settings
        return Conditions(self.request.margin, on_one_thread(self.request.workload, *settings), self.noise)


def _subject(model: ModelInput, settings: RunSettings | None) -> Subject:
    assert settings is not None, "a resolved request says how each model is run"  # noqa: S101
    return Subject(model=model.file, settings=settings)


def compare(
    request: CompareOptions, model: ModelInput, against: ModelInput, evaluation: DatasetInput | None, machine: Machine
) -> Plan[CompareReport]:
    """Judge ``model`` against ``against`` along accuracy, speed, memory and size.

    Raises:
        BadInput: the two models, or the models and the data, do not fit each other.
        PlanFailed: one of the models does not run.
    """
    resolved = resolve_compare(request, model, against, evaluation)
    samples = all_samples(evaluation, request.seed) if evaluation else None
    pair, meter = _Pair(resolved, model, against, samples), Meter()
    yield from metered(_measure(pair), meter)
    return _report(pair, evaluation, machine, meter.spent_s)


def _measure(pair: _Pair) -> Generator[Task, Reply, None]:
    if pair.samples and pair.request.metric:
        yield from _evaluate(pair, pair.samples, pair.request.metric)
    yield from _time(pair)
    before = yield from _memory(pair, pair.against_subject, pair.against.name, 0.9)
    after = yield from _memory(pair, pair.subject, pair.model.name, 0.95)
    pair.of_against, pair.of_model = _with_memory(pair.of_against, before), _with_memory(pair.of_model, after)


def _evaluate(pair: _Pair, samples: Samples, metric: Metric) -> Generator[Task, Reply, None]:
    limit = pair.request.thresholds.max_drop or MaxDrop()

    def step(subject: Subject, reference: EvaluationFiles | None) -> EvaluateModel:
        return EvaluateModel(
            subject=subject,
            samples=samples,
            preprocessing=pair.request.preprocessing,
            metric=metric,
            workload=pair.request.workload,
            reference=reference,
            confidence=limit.confidence,
            relative=limit.relative,
        )

    reply = yield Task(step(pair.against_subject, None), Progress("evaluate", f"evaluating {pair.against.name}", 0.05))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    reference = found(reply.outcome, Evaluation)
    files = evaluation_files(reference, reply.outcome.files)
    reply = yield Task(step(pair.subject, files), Progress("evaluate", f"evaluating {pair.model.name}", 0.15))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    evaluation = found(reply.outcome, Evaluation)
    pair.of_against, pair.of_model, pair.evaluation = scored(reference), scored(evaluation), evaluation


def _time(pair: _Pair) -> Generator[Task, Reply, None]:
    timing = yield from time_side_by_side(
        [pair.against_subject, pair.subject],
        pair.request,
        pair.samples,
        CONFIRMING,
        pair.request.margin,
        lambda load: Progress("measure", f"timing both, load {load + 1}", 0.25 + 0.6 * load / CONFIRMING.most),
    )
    if isinstance(timing, Failed):
        raise PlanFailed(timing.finding)
    before, after = timing.timed
    pair.of_against, pair.of_model = with_times(pair.of_against, before), with_times(pair.of_model, after)
    pair.noise = timing.noise


def _memory(pair: _Pair, subject: Subject, name: str, fraction: float) -> Generator[Task, Reply, MemoryUse | None]:
    step = MeasureMemory(
        subject=subject,
        workload=pair.request.workload,
        samples=pair.samples,
        preprocessing=pair.request.preprocessing,
        seed=pair.request.seed,
    )
    return (yield from lowest_memory(step, Progress("measure", f"measuring the memory of {name}", fraction)))


def _with_memory(seen: Measurements, use: MemoryUse | None) -> Measurements:
    return seen.model_copy(update={"memory_bytes": use.peak_bytes, "memory": use}) if use else seen


def _report(pair: _Pair, evaluation: DatasetInput | None, machine: Machine, spent_s: float) -> CompareReport:
    asked, margin = pair.request.thresholds, pair.request.margin
    speed, accuracy = speed_axis(pair.of_model, asked, pair.conditions), accuracy_axis(pair.of_model.drop, asked)
    memory = memory_axis(pair.of_against, pair.of_model, asked, margin)
    size = size_axis(pair.model.inspection.size_bytes / pair.against.inspection.size_bytes, asked, margin)
    axes = {"speed": speed, "accuracy": accuracy, "memory": memory, "size": size}
    known = {name: axis for name, axis in axes.items() if axis}
    verdict = overall(list(known.values()))
    return CompareReport(
        model=_reference(pair.model),
        model_name=pair.model.name,
        inspection=pair.model.inspection,
        metric=pair.request.metric,
        metric_name=pair.request.metric.title if pair.request.metric else "not measured: there was no data",
        preprocessing=pair.request.preprocessing,
        workload=pair.request.workload,
        machine=machine,
        noise=pair.noise,
        margin=pair.request.margin,
        replay=Replay(
            model=pair.model.file,
            datasets={"evaluation": evaluation.file} if evaluation else {},
            seed=pair.request.seed,
            enxuto=version("enxuto"),
        ),
        elapsed_s=spent_s,
        request=pair.request,
        against=_reference(pair.against),
        against_name=pair.against.name,
        verdict=verdict,
        why=_runtimes(pair) + "; ".join(f"{name}: {axis.detail}" for name, axis in known.items()) + ".",
        passed=all_hold(asked, known, verdict),
        speed=speed,
        accuracy=accuracy,
        memory=memory,
        size=size,
        measured=pair.of_model,
        measured_against=pair.of_against,
        worst_samples=pair.evaluation.worst if pair.evaluation else [],
        worst_losses=pair.evaluation.worst_losses if pair.evaluation else [],
    )


def _reference(model: ModelInput) -> ModelRef:
    return ModelRef(sha256=model.file, size_bytes=model.inspection.size_bytes)


def _runtimes(pair: _Pair) -> str:
    """What ran which, where that differs."""
    new, old = pair.subject.settings, pair.against_subject.settings
    if new == old:
        return ""
    return f"{pair.model.name} on {settings_words(new)} against {pair.against.name} on {settings_words(old)}: "
