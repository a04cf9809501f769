"""What calls take behind a batcher: short load runs of every way to run the copies, which simulations draw from."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from enxuto.report import Point
from enxuto.scenario import Batching
from enxuto.search.plan import Progress, Reply, Task
from enxuto.search.serve_runs import FIRST_LOAD, Serving, load_run, until_quiet
from enxuto.settings import RunSettings
from enxuto.steps import MOST_QUERIES, Failed, LoadTraces

_SHARES = (0.3, 0.5, 0.7)
"""Rates at which calls are watched: of what copies carry with single samples, and the last one with any batch. Copies
that are busy all the time are quicker a call than any that a plan may ask for."""
_WATCHED_S = 2.0


def watch_calls(serving: Serving) -> Generator[Task, Reply, None]:
    for position, settings in enumerate(serving.settings):
        points = serving.of(settings)
        for way in sorted({(point.threads, point.instances) for point in points}):
            own = [point for point in points if (point.threads, point.instances) == way]
            if (traces := (yield from _watch_way(serving, settings, own))) is not None:
                serving.traces.setdefault(position, []).append(traces)


def _watch_way(
    serving: Serving, settings: RunSettings, points: Sequence[Point]
) -> Generator[Task, Reply, LoadTraces | None]:
    """Load runs with a seed of their own: what is checked later was never seen."""
    threads, instances = points[0].threads, points[0].instances
    batching = Batching(max_batch=max(point.batch_size for point in points), instances=instances)
    files = []
    for rate in _watched_rates(points):
        step = load_run(serving, settings, threads, batching, rate).model_copy(
            update={"duration_s": _WATCHED_S, "seed": serving.request.seed + 1}
        )
        message = f"watching calls of {instances} × {threads} thread(s) under {rate:.0f} queries/s"
        runs = yield from until_quiet(serving, step, FIRST_LOAD, Progress("plan", message, 0.85))
        if isinstance(runs, Failed):
            serving.failures.append(runs.finding.detail)
            return None
        files.append(serving.quietest(runs).latencies)
    return LoadTraces(threads=threads, instances=instances, files=files)


def _watched_rates(points: Sequence[Point]) -> list[float]:
    carried = {point.batch_size: point.samples_per_s.value for point in points if point.samples_per_s}
    single, most = carried[min(carried)], max(carried.values())
    rates = [share * single for share in _SHARES[:-1]] + [_SHARES[-1] * most]
    return [min(rate, MOST_QUERIES / _WATCHED_S) for rate in rates]
