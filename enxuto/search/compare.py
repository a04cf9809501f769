"""The plan of a ``compare`` job: two models on the same samples, side by side on the same machine."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from importlib.metadata import version

from enxuto.goal import MaxDrop, Thresholds
from enxuto.judge.speed import speed_verdict
from enxuto.machine import Machine
from enxuto.metric import Metric
from enxuto.report import Axis, CompareReport, Measurements, ModelRef, Replay, Verdict
from enxuto.request import MARGIN, CompareOptions
from enxuto.search.choose import amount, too_wide
from enxuto.search.plan import Meter, Plan, PlanFailed, Progress, Reply, Task, found, metered
from enxuto.search.resolve import resolve_compare
from enxuto.search.splits import all_samples
from enxuto.search.timing import CONFIRMING, time_side_by_side, with_times
from enxuto.search.trial import evaluation_files, scored
from enxuto.search.verdict import exact
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


@dataclass
class _Pair:
    """What is known so far of the two models."""

    request: CompareOptions
    model: ModelInput
    against: ModelInput
    samples: Samples | None
    of_model: Measurements = field(default_factory=Measurements)
    of_against: Measurements = field(default_factory=Measurements)
    worst: list[int] = field(default_factory=list)
    noise: list[HostNoise] = field(default_factory=list)


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
    before = yield from _memory(pair, pair.against, 0.9)
    after = yield from _memory(pair, pair.model, 0.95)
    pair.of_against = pair.of_against.model_copy(update={"memory_bytes": before})
    pair.of_model = pair.of_model.model_copy(update={"memory_bytes": after})


def _evaluate(pair: _Pair, samples: Samples, metric: Metric) -> Generator[Task, Reply, None]:
    limit = pair.request.thresholds.max_drop or MaxDrop()

    def step(model: ModelInput, reference: EvaluationFiles | None) -> EvaluateModel:
        return EvaluateModel(
            subject=Subject(model=model.file),
            samples=samples,
            preprocessing=pair.request.preprocessing,
            metric=metric,
            workload=pair.request.workload,
            reference=reference,
            confidence=limit.confidence,
            relative=limit.relative,
        )

    reply = yield Task(step(pair.against, None), Progress("evaluate", f"evaluating {pair.against.name}", 0.05))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    reference = found(reply.outcome, Evaluation)
    files = evaluation_files(reference, reply.outcome.files)
    reply = yield Task(step(pair.model, files), Progress("evaluate", f"evaluating {pair.model.name}", 0.15))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    evaluation = found(reply.outcome, Evaluation)
    pair.of_against, pair.of_model, pair.worst = scored(reference), scored(evaluation), evaluation.worst


def _time(pair: _Pair) -> Generator[Task, Reply, None]:
    timing = yield from time_side_by_side(
        [Subject(model=pair.against.file), Subject(model=pair.model.file)],
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


def _memory(pair: _Pair, model: ModelInput, fraction: float) -> Generator[Task, Reply, int | None]:
    step = MeasureMemory(
        subject=Subject(model=model.file),
        workload=pair.request.workload,
        samples=pair.samples,
        preprocessing=pair.request.preprocessing,
        seed=pair.request.seed,
    )
    reply = yield Task(step, Progress("measure", f"measuring the memory of {model.name}", fraction))
    return None if isinstance(reply.outcome, Failed) else found(reply.outcome, MemoryUse).peak_bytes


def _report(pair: _Pair, evaluation: DatasetInput | None, machine: Machine, spent_s: float) -> CompareReport:
    asked = pair.request.thresholds
    speed, accuracy = _speed_axis(pair, asked), _accuracy_axis(pair, asked)
    memory, size = _memory_axis(pair, asked), _size_axis(pair, asked)
    axes = {"speed": speed, "accuracy": accuracy, "memory": memory, "size": size}
    known = {name: axis for name, axis in axes.items() if axis}
    judged = [axis for axis in known.values() if axis.passed is not None]
    verdict = _overall(judged or list(known.values()))
    passed = _passed(asked, known, verdict)
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
        why="; ".join(f"{name}: {axis.detail}" for name, axis in known.items()) + ".",
        passed=passed,
        speed=speed,
        accuracy=accuracy,
        memory=memory,
        size=size,
        measured=pair.of_model,
        measured_against=pair.of_against,
        worst_samples=pair.worst,
    )


def _reference(model: ModelInput) -> ModelRef:
    return ModelRef(sha256=model.file, size_bytes=model.inspection.size_bytes)


def _speed_axis(pair: _Pair, asked: Thresholds) -> Axis:
    estimate = pair.of_model.speedup
    assert estimate is not None, "a pair that could not be timed has no report"  # noqa: S101
    passed = None if asked.min_speedup is None else estimate.low >= asked.min_speedup
    interval = f"{estimate.value:.2f}× ({estimate.low:.2f}–{estimate.high:.2f}) as fast"
    wanted = "" if asked.min_speedup is None else f", at least {asked.min_speedup:g}× is asked"
    return Axis(
        verdict=speed_verdict(estimate, pair.request.margin),
        passed=passed,
        estimate=estimate,
        detail=f"{interval}{wanted}",
    )


def _accuracy_axis(pair: _Pair, asked: Thresholds) -> Axis | None:
    """Null without data; a threshold on accuracy then cannot hold (see ``_passed``)."""
    drop = pair.of_model.drop
    if drop is None:
        return None
    verdict: Verdict = "inconclusive"
    limit = asked.max_drop or MaxDrop()
    if drop.high < 0:
        verdict = "improved"
    elif drop.low > (limit.value if asked.max_drop else 0):
        verdict = "regressed"
    elif drop.high <= limit.value:
        verdict = "no_gain"
    detail = f"loses {amount(drop, drop.value)} ({amount(drop, drop.low)} to {amount(drop, drop.high)})"
    if verdict == "inconclusive":
        detail = too_wide(drop, limit.value)
    return Axis(
        verdict=verdict,
        passed=None if asked.max_drop is None else drop.high <= asked.max_drop.value,
        estimate=None,
        detail=detail,
    )


def _ratio_axis(ratio: float | None, limit: float | None, what: str) -> Axis:
    if ratio is None:
        return Axis(
            verdict="inconclusive",
            passed=None if limit is None else False,
            estimate=None,
            detail=f"{what} could not be measured",
        )
    wanted = "" if limit is None else f", at most {limit:g}× is allowed"
    return Axis(
        verdict=speed_verdict(exact(1 / ratio), MARGIN),
        passed=None if limit is None else ratio <= limit,
        estimate=exact(ratio),
        detail=f"{ratio:.2f}× the {what}{wanted}",
    )


def _memory_axis(pair: _Pair, asked: Thresholds) -> Axis:
    after, before = pair.of_model.memory_bytes, pair.of_against.memory_bytes
    return _ratio_axis(after / before if after and before else None, asked.max_memory_ratio, "memory")


def _size_axis(pair: _Pair, asked: Thresholds) -> Axis:
    ratio = pair.model.inspection.size_bytes / pair.against.inspection.size_bytes
    return _ratio_axis(ratio, asked.max_size_ratio, "file size")


def _overall(axes: list[Axis]) -> Verdict:
    """The worst of them, and improved only where none is bad."""
    verdicts = {axis.verdict for axis in axes}
    order: list[Verdict] = ["regressed", "inconclusive", "improved"]
    return next((verdict for verdict in order if verdict in verdicts), "no_gain")


def _passed(asked: Thresholds, axes: dict[str, Axis], verdict: Verdict) -> bool:
    judged = [axis.passed for axis in axes.values() if axis.passed is not None]
    if asked.max_drop is not None and "accuracy" not in axes:
        return False
    return all(judged) if asked != Thresholds() else verdict != "regressed"
