"""Measures the curves of the offline scenario: batch sizes as listed, or searched for the knee."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from enxuto.errors import Finding
from enxuto.scenario import Offline
from enxuto.search.knee import KneeSearch, search_knee
from enxuto.search.plan import Reply, Task
from enxuto.search.points import At, Points, measure_point
from enxuto.search.ways import Way, asked_ways, crowded, serving_ways


def measure_curves(points: Points, scenario: Offline, searches: list[KneeSearch]) -> Generator[Task, Reply, None]:
    """Every way that was asked for; ``searches`` is filled where batch sizes are searched."""
    ways = asked_ways(points.request, scenario)
    share = (0.7 if points.request.serving or points.request.memory_mb else 0.95) / len(ways)
    for position, way in enumerate(ways, start=1):
        points.part_ends = position * share
        if crowded(way, scenario, points.machine.cores):
            points.skip(At(way, min(scenario.batch_sizes or [1])), _beyond_cores(way, points.machine.cores))
        elif scenario.batch_sizes:
            yield from measure_list(points, way, scenario.batch_sizes)
        else:
            search = yield from search_knee(points, way)
            searches.extend([search] if search else [])


def measure_list(points: Points, way: Way, batch_sizes: Sequence[int]) -> Generator[Task, Reply, None]:
    """From the smallest on. Nothing larger is tried after a crash or a lack of memory."""
    fixed = points.model.inspection.batch_size
    wanted = sorted(set(batch_sizes) | ({fixed} if fixed else set()))
    ended: Finding | None = None
    for at in [At(way, batch_size) for batch_size in wanted]:
        if fixed is not None and at.batch_size != fixed:
            points.skip(at, _not_the_fixed_one(fixed))
        elif ended is not None:
            points.skip(at, ended)
        else:
            failure = yield from measure_point(points, at)
            if failure and failure.fault != "user":
                ended = _smaller_failed(at, failure)


def measure_for_serving(
    points: Points, scenario: Offline, searches: Sequence[KneeSearch]
) -> Generator[Task, Reply, None]:
    """Curves for more copies, with batches up to the knee of one: what a serving plan chooses from."""
    goal = points.request.serving
    for way in serving_ways(points.request, scenario, points.machine.cores):
        one = Way(way.settings, way.threads, 1)
        seen = list(points.measured(one)) or list(scenario.batch_sizes or [1])
        knee = next((search.knee(points) for search in searches if search.way == one), None)
        most = knee.batch_size if knee else max(seen)
        most = min(most, goal.max_batch) if goal and goal.max_batch else most
        sizes = [batch_size for batch_size in seen if batch_size <= most]
        yield from measure_list(points, way, sizes or [min(seen)])


def _beyond_cores(way: Way, cores: int) -> Finding:
    return Finding(
        code="beyond_cores",
        detail=f"{way.instances} copies with {way.threads} threads each want {way.cores} of {cores} cores",
        hint="Ask for this number of threads and of copies alone to have it measured all the same.",
    )


def _not_the_fixed_one(fixed: int) -> Finding:
    return Finding(
        code="batch_fixed",
        detail=f"the model's batch axis is fixed: it takes batches of {fixed} only",
        hint="Export the model with a dynamic batch axis.",
    )


def _smaller_failed(at: At, failure: Finding) -> Finding:
    return Finding(
        code="smaller_batch_failed",
        detail=f"not tried, since batch {at.batch_size} failed with {failure.code}",
        hint="See why the smaller batch failed; to try this one alone, name it in batch_sizes.",
    )
