"""Finds the highest rate of queries whose latency holds, by doubling and bisection over real runs."""

from __future__ import annotations

from collections.abc import Generator

from enxuto.report import Run, ScenarioResult
from enxuto.scenario import Server
from enxuto.search.load_runs import Loads, late_words, rate_words, rules_words, run_load, short_of_rules
from enxuto.search.plan import Reply, Task
from enxuto.search.rate import Votes
from enxuto.steps import MOST_QUERIES, OneByOne, Poisson
from enxuto.words import limit_percent, milliseconds, seconds

_ALONE_S = 2.0
"""How long queries are sent one by one, which says where to begin."""
_FIRST = 0.5
"""Of what queries one by one let expect."""
_LONGEST = 12
"""Times the asked duration: how long runs at the edge may last so that they carry the percentile."""


def highest_rate(loads: Loads, scenario: Server) -> Generator[Task, Reply, ScenarioResult | None]:
    """None where the model does not run at all."""
    first = yield from run_load(loads, OneByOne(), min(_ALONE_S, scenario.duration_s))
    if first.found is None:
        return None
    alone = first.found
    if alone.latency.p50_ms > scenario.latency_ms:
        return _none_holds(loads, scenario, f"even alone a query takes {milliseconds(alone.latency.p50_ms)}")
    start = _FIRST * scenario.batching.instances * alone.queries_per_s
    votes = Votes(start, most=MOST_QUERIES // scenario.duration_s)
    while (rate := votes.next_rate()) is not None:
        again = votes.count(rate)
        run = yield from run_load(loads, Poisson(rate_per_s=rate), _lasts_s(loads, rate, again), again)
        if run.found is None and loads.failure and loads.failure.fault == "user":
            return None
        votes.runs.append((rate, run.holds is True))
    if votes.highest_holding is None:
        lowest = rate_words(votes.lowest_failing or 0.0)
        return _none_holds(loads, scenario, f"the lowest that was tried is {lowest}")
    return _found(loads, scenario, votes, votes.highest_holding)


def _lasts_s(loads: Loads, rate_per_s: float, again: int) -> float:
    """As long as was asked; at the edge, where it is run again, as long as the percentile takes."""
    asked_s = loads.scenario.duration_s
    longest_s = min(_LONGEST * asked_s, MOST_QUERIES // rate_per_s)
    return max(asked_s, min(loads.carries_s(rate_per_s), longest_s)) if again else asked_s


def _none_holds(loads: Loads, scenario: Server, why: str) -> ScenarioResult:
    limit = milliseconds(scenario.latency_ms)
    detail = f"{loads.who}: no rate holds {loads.name} within {limit}: {why}."
    return ScenarioResult(figure="highest rate", value=None, unit="queries/s", valid=False, detail=detail)


def _found(loads: Loads, scenario: Server, votes: Votes, rate: float) -> ScenarioResult:
    runs = [run for run in loads.runs if run.settings == loads.settings and run.rate_per_s == rate]
    measured = [run.found for run in runs if run.found]
    longest = max(measured, key=lambda found: found.latency.queries)
    carried = any(run.percentile_ms is not None for run in runs)
    short = short_of_rules(loads, longest)
    told = [
        f"{_held(loads, scenario, runs, rate)}; {_edge(votes, rate)}; {_how(loads, scenario, votes)}"
        f"{late_words(longest, scenario)}."
    ]
    if not carried:
        enough_s = loads.carries_s(rate)
        told.append(f"Its runs are too short to carry {loads.name}: ask for a duration_s of {enough_s} at least.")
    return ScenarioResult(
        figure="highest rate",
        value=rate if carried else None,
        unit="queries/s",
        valid=not short,
        detail=" ".join([*told, rules_words(short)]),
    )


def _held(loads: Loads, scenario: Server, runs: list[Run], rate: float) -> str:
    shown = [milliseconds(run.percentile_ms) for run in runs if run.percentile_ms is not None]
    percentiles = f", {loads.name} {' and '.join(shown)}" if shown else ""
    held = f"{sum(run.holds is True for run in runs)} of {len(runs)} runs"
    limit = milliseconds(scenario.latency_ms)
    return f"{loads.who}: {rate_words(rate)} holds {loads.name} within {limit} ({held}{percentiles})"


def _edge(votes: Votes, rate: float) -> str:
    failing = votes.lowest_failing
    if failing is None:
        more = f", and no higher one was tried: a run of more than {MOST_QUERIES:,} queries is too large"
        return f"no rate was found that does not hold{more if rate >= votes.most else ''}"
    return f"{rate_words(failing)} does not hold ({limit_percent(round(failing / rate - 1, 3))} more)"


def _how(loads: Loads, scenario: Server, votes: Votes) -> str:
    runs = f"{len(votes.runs)} runs of {seconds(scenario.duration_s)} or more"
    return f"found by doubling and bisection over {runs}, arrivals drawn by seed {loads.points.request.seed}"
