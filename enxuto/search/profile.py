"""The plan of a ``profile`` job: where the time of a call goes, and how near each node is to what is possible."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from importlib.metadata import version

from enxuto.judge.node_groups import group_nodes, matched
from enxuto.judge.roofline import operator_types, place
from enxuto.machine import Machine
from enxuto.report import ModelRef, ProfiledModel, ProfileReport, Replay
from enxuto.request import ProfileOptions
from enxuto.schema import Digest
from enxuto.search.memory import lowest_memory
from enxuto.search.plan import Meter, Plan, PlanFailed, Progress, Reply, Stopped, Task, found, metered
from enxuto.search.profile_why import told
from enxuto.search.resolve import resolve_profile
from enxuto.search.splits import all_samples
from enxuto.settings import OnnxRuntimeSettings, RunSettings
from enxuto.signature import DatasetInput, ModelInput
from enxuto.steps import (
    Failed,
    HostNoise,
    MeasureMemory,
    MeasurePeaks,
    MemoryUse,
    ModelProfile,
    Peaks,
    ProfileModel,
    Samples,
    Subject,
)


@dataclass
class _Side:
    """One of the models, and what was found of it."""

    model: ModelInput
    settings: RunSettings
    profile: ModelProfile | None = None
    raw: Digest = ""
    memory: MemoryUse | None = None


@dataclass
class _Profiles:
    request: ProfileOptions
    sides: list[_Side]
    samples: Samples | None
    peaks: Peaks | None
    """Those of the first model's number of threads."""
    noise: list[HostNoise] = field(default_factory=list)

    def threads(self, side: _Side) -> int:
        return side.settings.threads or self.request.workload.threads


def profile(
    request: ProfileOptions,
    model: ModelInput,
    against: ModelInput | None,
    samples: DatasetInput | None,
    machine: Machine,
    peaks: Peaks | None,
) -> Plan[ProfileReport]:
    """Profile a model, or two side by side. ``peaks`` were measured before on the same kind of machine.

    Raises:
        BadInput: a model cannot be run here, or does not fit the other one or the data.
        PlanFailed: a model does not run, or the peaks cannot be measured.
    """
    resolved = resolve_profile(request, model, against, samples)
    drawn = all_samples(samples, request.seed) if samples else None
    sides = [_Side(model, resolved.settings or OnnxRuntimeSettings())]
    if against is not None:
        sides.append(_Side(against, resolved.against_settings or OnnxRuntimeSettings()))
    profiles, meter = _Profiles(resolved, sides, drawn, None), Meter()
    if peaks is not None and peaks.threads == profiles.threads(sides[0]):
        profiles.peaks = peaks
    before = profiles.peaks is not None
    yield from metered(_measure(profiles), meter)
    return _report(profiles, samples, machine, before, meter.spent_s)


def _measure(profiles: _Profiles) -> Generator[Task, Reply, None]:
    if profiles.peaks is None:
        profiles.peaks = yield from _measure_peaks(profiles)
    for position, side in enumerate(profiles.sides):
        yield from _profile(profiles, side, 0.3 + 0.2 * position)
    try:
        for position, side in enumerate(profiles.sides):
            side.memory = yield from _memory(profiles, side, 0.8 + 0.1 * position)
    except Stopped:  # what was asked for is there: memory is beside it
        return


def _measure_peaks(profiles: _Profiles) -> Generator[Task, Reply, Peaks]:
    step = MeasurePeaks(threads=profiles.threads(profiles.sides[0]))
    reply = yield Task(step, Progress("measure", "measuring what this machine can do at most", 0.05))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    peaks = found(reply.outcome, Peaks)
    profiles.noise.append(peaks.noise)
    return peaks


def _profile(profiles: _Profiles, side: _Side, fraction: float) -> Generator[Task, Reply, None]:
    step = ProfileModel(
        subject=Subject(model=side.model.file, settings=side.settings),
        workload=profiles.request.workload,
        samples=profiles.samples,
        preprocessing=profiles.request.preprocessing,
        seed=profiles.request.seed,
    )
    reply = yield Task(step, Progress("measure", f"timing the nodes of {side.model.name}", fraction))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    side.profile = found(reply.outcome, ModelProfile)
    side.raw = reply.outcome.files[side.profile.profile_file]
    profiles.noise.append(side.profile.noise)


def _memory(profiles: _Profiles, side: _Side, fraction: float) -> Generator[Task, Reply, MemoryUse | None]:
    step = MeasureMemory(
        subject=Subject(model=side.model.file, settings=side.settings),
        workload=profiles.request.workload,
        samples=profiles.samples,
        preprocessing=profiles.request.preprocessing,
        seed=profiles.request.seed,
    )
    return (yield from lowest_memory(step, Progress("measure", f"measuring the memory of {side.model.name}", fraction)))


def _report(
    profiles: _Profiles, samples: DatasetInput | None, machine: Machine, peaks_before: bool, spent_s: float
) -> ProfileReport:
    model, request, peaks = profiles.sides[0].model, profiles.request, profiles.peaks
    assert peaks is not None, "without peaks there is no profile"  # noqa: S101
    first, *others = _profiled(profiles, peaks)
    against = others[0] if others else None
    return ProfileReport(
        model=first.model,
        model_name=model.name,
        inspection=model.inspection,
        preprocessing=request.preprocessing,
        workload=request.workload,
        machine=machine,
        noise=profiles.noise,
        replay=Replay(
            model=model.file,
            datasets={"evaluation": samples.file} if samples else {},
            seed=request.seed,
            enxuto=version("enxuto"),
        ),
        elapsed_s=spent_s,
        request=request,
        why=told(first, against, [side.profile.noise for side in profiles.sides if side.profile]),
        profile=first,
        against=against,
        groups=matched(first.nodes, against.nodes) if against else [],
        peaks=peaks,
        peaks_measured_before=peaks_before,
    )


def _profiled(profiles: _Profiles, peaks: Peaks) -> list[ProfiledModel]:
    found_nodes = [side.profile.nodes if side.profile else [] for side in profiles.sides]
    groups = group_nodes(found_nodes[0], found_nodes[1] if len(found_nodes) > 1 else [])
    return [
        _one(side, side.profile, names, peaks if profiles.threads(side) == peaks.threads else None)
        for side, names in zip(profiles.sides, groups, strict=False)
        if side.profile
    ]


def _one(side: _Side, profile: ModelProfile, groups: list[str], peaks: Peaks | None) -> ProfiledModel:
    nodes = place(profile.nodes, groups, peaks, profile.recording_us)
    return ProfiledModel(
        model=ModelRef(sha256=side.model.file, size_bytes=side.model.inspection.size_bytes),
        model_name=side.model.name,
        settings=side.settings,
        call_ms=profile.call_ms,
        recorded_ms=profile.recorded_ms,
        nodes_ms=sum(node.ms for node in nodes),
        calls=profile.calls,
        recording_us=profile.recording_us,
        nodes=nodes,
        operators=operator_types(nodes),
        memory=side.memory,
        raw=side.raw,
    )
