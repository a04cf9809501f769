"""Where a verb is done: on this machine, or on a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import typer

from enxuto.cli.exits import INTERRUPTED

if TYPE_CHECKING:
    from enxuto.goal import Goal, Thresholds
    from enxuto.metric import Metric
    from enxuto.preprocessing import Preprocessing
    from enxuto.processor import Processor
    from enxuto.recipe import Recipe
    from enxuto.report import BenchmarkReport, CompareReport, OptimizeReport, ProfileReport
    from enxuto.scenario import Scenario, ServingGoal
    from enxuto.search.plan import Progress
    from enxuto.settings import RunSettings
    from enxuto.workload import Workload


class Place(Protocol):
    """Does the verbs: the module `enxuto.local`, or a client."""

    def optimize(
        self,
        model: str | Path,
        dataset: str | Path | None = None,
        goal: Goal | None = None,
        *,
        recipe: Recipe | None = None,
        calibration: str | Path | None = None,
        preprocessing: Preprocessing | None = None,
        metric: Metric | None = None,
        margin: float = ...,
        workload: Workload | None = None,
        deadline_s: float | None = None,
        seed: int = 0,
        processors: Sequence[Processor] = (),
        earlier: str | None = None,
        out: str | Path | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> OptimizeReport: ...

    def compare(
        self,
        model: str | Path,
        against: str | Path,
        dataset: str | Path | None = None,
        thresholds: Thresholds | None = None,
        *,
        settings: RunSettings | None = None,
        against_settings: RunSettings | None = None,
        preprocessing: Preprocessing | None = None,
        metric: Metric | None = None,
        margin: float = ...,
        workload: Workload | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> CompareReport: ...

    def benchmark(
        self,
        model: str | Path,
        dataset: str | Path | None = None,
        scenario: Scenario | None = None,
        *,
        settings: list[RunSettings] | None = None,
        memory_mb: float | None = None,
        serving: ServingGoal | None = None,
        preprocessing: Preprocessing | None = None,
        workload: Workload | None = None,
        deadline_s: float | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> BenchmarkReport: ...

    def profile(
        self,
        model: str | Path,
        against: str | Path | None = None,
        dataset: str | Path | None = None,
        *,
        settings: RunSettings | None = None,
        against_settings: RunSettings | None = None,
        preprocessing: Preprocessing | None = None,
        workload: Workload | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> ProfileReport: ...


@contextmanager
def place(server: str | None, key: str | None) -> Iterator[Place]:
    if server is None:
        from enxuto import local

        yield local
    else:
        from enxuto.client import Client

        try:
            with Client(server, key) as client:
                yield client
        except KeyboardInterrupt as stop:
            typer.echo(f"stopped: {stop}" if stop.args else "stopped", err=True)
            raise typer.Exit(INTERRUPTED) from stop


def given_file(given: str, server: str | None, prefix: str, parameter: str) -> str:
    """A path that is there, or on a server an id; a usage error otherwise."""
    if Path(given).is_file() or (server is not None and given.startswith(prefix)):
        return given
    if Path(given).is_dir():
        raise typer.BadParameter(f"'{given}' is a folder, not a file", param_hint=parameter)
    hint = " (ids such as this one need --server)" if given.startswith(prefix) else ""
    raise typer.BadParameter(f"there is no file '{given}'{hint}", param_hint=parameter)
