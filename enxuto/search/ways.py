"""The ways to run a model that a benchmark measures: settings, threads and copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enxuto.request import BenchmarkOptions
from enxuto.scenario import Offline
from enxuto.settings import RunSettings
from enxuto.words import way_words


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
        return way_words(self.settings, self.threads, self.instances)


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
