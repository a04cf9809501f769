"""Chooses how to serve a model: simulates every way that the measured curves allow, and takes the leanest that holds.

With a rate asked, that is the one with the fewest cores (copies times threads), and of those the lowest p95; first
among the ones with head room (see ``enxuto.serving.options``). With no rate asked, it is the highest rate that leaves
head room; of those within 3 % of it, again the one with the fewest cores and the smallest batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from enxuto.scenario import ServingGoal
from enxuto.schema import Digest
from enxuto.serving.latencies import p95_ms
from enxuto.serving.options import BUSIEST, CORES_BUSY, SLOWER, Way, batchings
from enxuto.serving.times import read_times
from enxuto.steps import BatchCurve, PlanServing, ServingChoice, ServingOption, SimulatedLoad
from enxuto.words import serving_way_words, settings_words

_SIMULATED_FILE = "simulated.npz"
_AS_GOOD = 0.97
_STEP_DOWN = 0.97
_STEPS_DOWN = 12


def plan_serving(step: PlanServing, files: Mapping[Digest, Path], out: Path) -> ServingChoice:
    """Simulate every way to serve and choose."""
    tried = [_tried(step, way) for way in _ways(step, files)]
    if not tried:
        return _nothing(f"the smallest batch that was measured is larger than {step.goal.max_batch}.", [])
    best = _choose(step.goal, tried)
    rows = [
        each.row
        for each in sorted(tried, key=lambda each: (each is not best, not each.row.fits, *_order(step.goal, each)))
    ]
    if best is None:
        return _nothing(_why_none(step.goal, tried), rows)
    simulated = _simulated(step, best, out / _SIMULATED_FILE)
    return ServingChoice(
        threads=best.way.threads,
        batching=best.way.batching,
        memory_bytes=best.way.memory_bytes,
        simulated=simulated,
        why=_why(step.goal, best, simulated, len(tried)),
        options=rows,
        simulated_file=_SIMULATED_FILE,
    )


@dataclass(frozen=True)
class _Tried:
    way: Way
    row: ServingOption
    p95_ms: float
    """At the rate asked, or at the highest one; infinite where it is beyond what Python carries."""


def _ways(step: PlanServing, files: Mapping[Digest, Path]) -> Iterator[Way]:
    for traces in step.traces:
        curves = [curve for curve in step.curves if curve.threads == traces.threads]
        own = {curve.batch_size: curve for curve in curves if curve.instances == traces.instances}
        sizes = [size for size in sorted(own) if size <= (step.goal.max_batch or size)]
        if not sizes:
            continue
        times = read_times(curves, traces, files, max(sizes))
        for batching in batchings(step.goal, times, traces.instances, sizes):
            yield Way(traces.threads, batching, _memory(own, batching.max_batch), times, step.cores)


def _memory(curves: Mapping[int, BatchCurve], largest: int) -> int:
    return max(curve.peak_bytes for size, curve in curves.items() if size <= largest)


def _tried(step: PlanServing, way: Way) -> _Tried:
    goal = step.goal
    highest = way.highest_rate_per_s(goal.p95_ms, step.seed)
    rate = goal.rate_per_s or highest
    p95 = way.p95_ms(rate, step.seed) if rate else float("inf")
    fits_memory = goal.memory_mb is None or way.memory_bytes <= goal.memory_mb * 1e6
    row = ServingOption(
        settings=step.settings,
        threads=way.threads,
        batching=way.batching,
        highest_rate_per_s=highest,
        p95_ms=p95 if p95 < float("inf") else None,
        memory_bytes=way.memory_bytes,
        fits=fits_memory and rate > 0 and p95 <= goal.p95_ms,
    )
    return _Tried(way, row, p95)


def _choose(goal: ServingGoal, tried: Sequence[_Tried]) -> _Tried | None:
    fitting = [each for each in tried if each.row.fits]
    if goal.rate_per_s is None:
        highest = max((each.row.highest_rate_per_s for each in fitting), default=0.0)
        fitting = [each for each in fitting if each.row.highest_rate_per_s >= _AS_GOOD * highest]
        return min(fitting, key=lambda each: (each.way.cores, each.way.batching.max_batch, each.p95_ms), default=None)
    spare = [each for each in fitting if each.row.highest_rate_per_s >= goal.rate_per_s]
    return min(spare or fitting, key=lambda each: (each.way.cores, each.p95_ms), default=None)


def _order(goal: ServingGoal, tried: _Tried) -> tuple[float, float]:
    highest = -tried.row.highest_rate_per_s
    return (tried.p95_ms, highest) if goal.rate_per_s else (highest, tried.p95_ms)


def _simulated(step: PlanServing, best: _Tried, file: Path) -> SimulatedLoad:
    """Over the arrivals of the check; a rate that was searched is lowered until it holds for these as well."""
    goal, rate = step.goal, step.goal.rate_per_s or best.row.highest_rate_per_s
    simulation = best.way.run(rate, step.seed, goal.check_s)
    for _ in range(_STEPS_DOWN if goal.rate_per_s is None else 0):
        if p95_ms(simulation.latencies_ns) <= goal.p95_ms:
            break
        rate *= _STEP_DOWN
        simulation = best.way.run(rate, step.seed, goal.check_s)
    np.savez(file, allow_pickle=False, latency_ns=simulation.latencies_ns.round().astype(np.int64))
    return simulation.load(rate, best.way.batching.instances)


def _why(goal: ServingGoal, best: _Tried, simulated: SimulatedLoad, count: int) -> str:
    """With the figures of the load that the check repeats, as they stand beside what was measured."""
    how = serving_way_words(best.way.threads, best.way.batching)
    among = f"Of {count} ways to serve by {settings_words(best.row.settings)}"
    if goal.rate_per_s is None:
        return (
            f"{among}, {how}, carries the highest rate within a p95 of {goal.p95_ms:g} ms: "
            f"{simulated.rate_per_s:.0f} queries/s by simulation. That leaves head room: it would hold with calls "
            f"{SLOWER - 1:.0%} slower, copies are busy for at most {BUSIEST:.0%} of the time, and cores for "
            f"{CORES_BUSY:.0%}."
        )
    expected_ms = simulated.latency.p95_ms or best.p95_ms
    return (
        f"{among}, {how}, is the one with the fewest cores that carries {goal.rate_per_s:g} queries/s "
        f"within a p95 of {goal.p95_ms:g} ms: {expected_ms:.3g} ms by simulation.{_tight(goal, best)}"
    )


def _tight(goal: ServingGoal, best: _Tried) -> str:
    highest = best.row.highest_rate_per_s
    if goal.rate_per_s is None or highest >= goal.rate_per_s:
        return ""
    return f" It has no head room, and may miss for little: {highest:.0f} queries/s would leave some."


def _why_none(goal: ServingGoal, tried: Sequence[_Tried]) -> str:
    """What the limits leave, and the way that comes nearest."""
    runtime = settings_words(tried[0].row.settings)
    within = [each for each in tried if goal.memory_mb is None or each.way.memory_bytes <= goal.memory_mb * 1e6]
    if not within:
        least = min(each.way.memory_bytes for each in tried)
        return (
            f"No way to serve by {runtime} stays within {goal.memory_mb:g} MB: the leanest one takes "
            f"{least / 1e6:.0f} MB."
        )
    nearest = max(within, key=lambda each: (each.row.highest_rate_per_s, -each.p95_ms))
    if nearest.row.highest_rate_per_s == 0:
        return f"No way to serve by {runtime} answers within a p95 of {goal.p95_ms:g} ms, at however low a rate."
    return (
        f"No way to serve by {runtime} carries {goal.rate_per_s:g} queries/s within a p95 of {goal.p95_ms:g} ms; the "
        f"nearest, {serving_way_words(nearest.way.threads, nearest.way.batching)}, carries "
        f"{nearest.row.highest_rate_per_s:.0f}."
    )


def _nothing(why: str, options: list[ServingOption]) -> ServingChoice:
    return ServingChoice(threads=None, batching=None, memory_bytes=None, simulated=None, why=why, options=options)
