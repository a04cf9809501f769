"""The ways to run a model that a benchmark measures: settings, threads and copies, and their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enxuto.request import BenchmarkOptions
from enxuto.scenario import Offline
from enxuto.settings import DEFAULT_SETTINGS, RunSettings


@dataclass(frozen=True)
class Way:
    """One way to run the model, whatever the batch."""

    settings: RunSettings
    threads: int
    """Of each copy."""
    instances: int

    @property
    def cores(self) -> int:
        return self.threads * self.instances

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        copies = "" if self.instances == 1 else f" × {self.instances} copies"
        return f"{settings_words(self.settings)}, {threads}{copies}"


def settings_words(settings: RunSettings) -> str:
    """The runtime, and what differs from its defaults: "onnxruntime (arena off)"."""
    default = DEFAULT_SETTINGS[settings.runtime]
    unlike = [
        f"{name.replace('_', ' ')} {_value_words(value)}"
        for name, value in settings
        if name not in ("runtime", "threads") and value != getattr(default, name)
    ]
    return f"{settings.runtime} ({', '.join(unlike)})" if unlike else settings.runtime


def _value_words(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def asked_ways(request: BenchmarkOptions, scenario: Offline) -> list[Way]:
    """Every combination, those with fewer copies first; ``request`` is resolved."""
    return [
        Way(settings, threads, instances)
        for settings in request.settings or []
        for threads in _threads(settings, scenario.threads or [request.workload.threads])
        for instances in sorted(scenario.instances)
    ]


def crowded(way: Way, scenario: Offline, cores: int) -> bool:
    """Whether a way wants more cores than there are only because lists were combined.

    Where there is a single choice of threads and of copies, it was asked for, and is measured as it is.
    """
    combined = len(scenario.threads or []) > 1 and len(scenario.instances) > 1
    return combined and way.cores > cores


def serving_ways(request: BenchmarkOptions, scenario: Offline, cores: int) -> Iterator[Way]:
    """What a serving plan chooses from: copies from one up to what the cores hold."""
    for settings in request.settings or []:
        for threads in _threads(settings, scenario.threads or [request.workload.threads]):
            most = max(1, cores // threads)
            for instances in sorted({1, *(2**power for power in range(1, most.bit_length())), most}):
                yield Way(settings, threads, instances)


def _threads(settings: RunSettings, asked: Sequence[int]) -> list[int]:
    """Settings that name a number of threads are run with that one."""
    return [settings.threads] if settings.threads else sorted(asked)
