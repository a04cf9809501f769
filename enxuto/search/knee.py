"""Finds where larger batches stop paying: doubles the batch until nothing is gained, then bisects down to the knee."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from enxuto.report import Knee
from enxuto.search.plan import Reply, Task
from enxuto.search.points import At, Points, measure_point
from enxuto.search.ways import Way
from enxuto.steps import Estimate
from enxuto.words import limit_percent, milliseconds, seconds, significant, size

WITHIN = 0.05
"""A batch whose throughput comes within this share of the highest is as good as the highest."""
_LITTLE = 0.05
"""Two doublings that gain less than this together are the end."""
LARGEST = 4096
_SLOW_MS = 2000.0
"""A call that takes longer than this is of use to nobody who waits for it."""
_FEWEST = 3
"""Sizes that are tried however slow they are: fewer show no trend."""
BUDGET_S = 240.0
"""Of one curve."""


@dataclass(frozen=True)
class Seen:
    """What was measured at one batch size."""

    batch_size: int
    samples_per_s: float
    p50_ms: float
    peak_bytes: int
    trusted: bool = True
    """Whether a gain may be read from it."""


@dataclass(frozen=True)
class KneeSearch:
    """A search that has ended. Which loads count as quiet is told by all of them, later ones as well: the knee is read
    from the points as they stand in the report, not as they stood when the search ended."""

    way: Way
    told: list[str]
    """Clauses on how it ended."""

    def knee(self, points: Points) -> Knee | None:
        rates = _rates(points, self.way)
        return _knee(self.way, rates, self.told) if rates else None


def search_knee(points: Points, way: Way) -> Generator[Task, Reply, KneeSearch | None]:
    """None where not even one sample could be run within the memory limit."""
    began_s = points.spent_s
    why_stopped = yield from _double(points, way, began_s)
    rates = _rates(points, way)
    if not rates:
        return None
    best = max(rates, key=rates.__getitem__)
    yield from measure_point(points, At(way, best), _is_narrow)
    narrowed = yield from _bisect(points, way, began_s)
    return KneeSearch(way, [*([narrowed] if narrowed else []), f"no larger batch was tried since {why_stopped}"])


def _double(points: Points, way: Way, began_s: float) -> Generator[Task, Reply, str]:
    """Returns why it stopped, as a clause."""
    curve: list[Seen] = []
    batch_size = 1
    while True:
        at = At(way, batch_size)
        failure = yield from measure_point(points, at)
        if failure:
            return f"batch {batch_size} failed ({failure.detail.rstrip('.')})"
        curve.append(Seen(batch_size, points.rate(at), points.p50_ms(at), points.peak_bytes(at), points.trusted(at)))
        if why := why_stop(curve, points.request.memory_mb, points.spent_s - began_s):
            return why
        batch_size *= 2


def why_stop(curve: Sequence[Seen], memory_mb: float | None, spent_s: float) -> str | None:
    """Why no larger batch is tried, as a clause; None to go on. The curve's batches rise."""
    last = curve[-1]
    if memory_mb is not None and last.peak_bytes > memory_mb * 1e6:
        return f"batch {last.batch_size} takes {size(last.peak_bytes)} of memory, more than is allowed"
    if gain := little_gain([seen for seen in curve if seen.trusted]):
        return gain
    if len(curve) >= _FEWEST and last.p50_ms > _SLOW_MS:
        return f"a call with batch {last.batch_size} takes {milliseconds(last.p50_ms)}"
    if spent_s > BUDGET_S:
        return f"measuring had taken {seconds(spent_s)}"
    if last.batch_size >= LARGEST:
        return f"batch {LARGEST:,} is the largest that is tried"
    return None


def little_gain(curve: Sequence[Seen]) -> str | None:
    """That the last two sizes gained next to nothing, as a clause; None where they did, or there are too few."""
    if len(curve) < _FEWEST:
        return None
    gain = max(seen.samples_per_s for seen in curve[-2:]) / max(seen.samples_per_s for seen in curve[:-2]) - 1
    if gain >= _LITTLE:
        return None
    gained = f"gained {limit_percent(round(gain, 3))}" if gain > 0 else "gained nothing"
    return f"the doublings to {curve[-2].batch_size} and {curve[-1].batch_size} together {gained}"


def _bisect(points: Points, way: Way, began_s: float) -> Generator[Task, Reply, str]:
    """Returns what is worth telling of it, as a clause."""
    while batch_size := next_batch(_rates(points, way)):
        if points.spent_s - began_s > BUDGET_S:
            return "not narrowed down further for want of time"
        enough = (1 - WITHIN) * max(_rates(points, way).values())

        def settled(estimate: Estimate, enough: float = enough) -> bool:
            return not estimate.low < enough < estimate.high

        failure = yield from measure_point(points, At(way, batch_size), settled)
        if failure or batch_size not in _rates(points, way):
            what = "failed" if failure else "was disturbed all along or takes too much memory"
            return f"not narrowed down further, since batch {batch_size} {what}"
    return ""


def next_batch(rates: Mapping[int, float]) -> int | None:
    """Where to look next for the knee; None where it is found, to an eighth."""
    knee = knee_of(rates)
    below = max((batch for batch in rates if batch < knee), default=knee)
    return None if knee - below <= max(1, below // 8) else (knee + below) // 2


def knee_of(rates: Mapping[int, float]) -> int:
    """The smallest batch whose throughput comes within ``WITHIN`` of the highest."""
    enough = (1 - WITHIN) * max(rates.values())
    return min(batch for batch, rate in rates.items() if rate >= enough)


def _is_narrow(estimate: Estimate) -> bool:
    """So that what is compared with it can be told from it."""
    return estimate.high - estimate.low <= WITHIN * estimate.value


def _rates(points: Points, way: Way) -> dict[int, float]:
    """Throughput by batch size, of what stays within the memory limit; of what can be trusted, where anything can."""
    memory_mb = points.request.memory_mb
    fitting = {
        batch: at
        for batch, at in points.measured(way).items()
        if memory_mb is None or points.peak_bytes(at) <= memory_mb * 1e6
    }
    trusted = {batch: at for batch, at in fitting.items() if points.trusted(at)}
    return {batch: points.rate(at) for batch, at in (trusted or fitting).items()}


def _knee(way: Way, rates: Mapping[int, float], told: Sequence[str]) -> Knee:
    batch_size, best = knee_of(rates), max(rates, key=rates.__getitem__)
    highest = f"the highest seen ({significant(rates[best])} samples/s at batch {best})"
    if batch_size == best:
        what = f"batch {batch_size} carries the most that was seen, {significant(rates[best])} samples/s"
    elif batch_size == 1:
        what = f"batching gains next to nothing: one sample a call comes within {limit_percent(WITHIN)} of {highest}"
    else:
        below = max(batch for batch in rates if batch < batch_size)
        what = (
            f"batch {batch_size} is the smallest seen within {limit_percent(WITHIN)} of {highest}; batch {below} is not"
        )
    return Knee(
        settings=way.settings,
        threads=way.threads,
        instances=way.instances,
        batch_size=batch_size,
        samples_per_s=rates[batch_size],
        highest_samples_per_s=rates[best],
        within=WITHIN,
        detail="; ".join([what, *told]) + ".",
    )
