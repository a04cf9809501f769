"""MLPerf's load scenarios: one query at a time, several samples at a time, and queries that come by chance."""

from __future__ import annotations

from collections.abc import Generator

from enxuto.report import ScenarioResult
from enxuto.scenario import MultiStream, Server, SingleStream
from enxuto.search.highest_rate import highest_rate
from enxuto.search.load_runs import Loads, late_words, rate_words, rules_words, run_load, short_of_rules
from enxuto.search.plan import Reply, Task
from enxuto.steps import OneByOne, Poisson
from enxuto.words import milliseconds


def run_scenario(loads: Loads) -> Generator[Task, Reply, ScenarioResult | None]:
    """None where the model does not run at all. ``loads.runs`` is filled on the way."""
    match loads.scenario:
        case Server(rate_per_s=rate) as server:
            return (yield from (highest_rate(loads, server) if rate is None else _given_rate(loads, server, rate)))
        case SingleStream():
            return (yield from _one_by_one(loads, 1))
        case MultiStream(samples_per_query=samples):
            return (yield from _one_by_one(loads, samples))


def _one_by_one(loads: Loads, samples: int) -> Generator[Task, Reply, ScenarioResult | None]:
    run = yield from run_load(loads, OneByOne(samples_per_query=samples), loads.scenario.duration_s)
    if run.found is None:
        return None
    queries = run.found.latency.queries
    what = f"{loads.name} of {queries:,} queries is {milliseconds(run.percentile_ms)}"
    if run.percentile_ms is None:
        enough_s = loads.carries_s(run.found.queries_per_s)
        what = f"{queries:,} queries do not carry {loads.name}: ask for a duration_s of {enough_s} at least"
    short = short_of_rules(loads, run.found, samples)
    return ScenarioResult(
        figure=loads.rule.figure,
        value=run.percentile_ms,
        unit="ms",
        valid=not short,
        detail=f"{loads.who}: {what}. {rules_words(short)}",
    )


def _given_rate(loads: Loads, scenario: Server, rate: float) -> Generator[Task, Reply, ScenarioResult | None]:
    run = yield from run_load(loads, Poisson(rate_per_s=rate), scenario.duration_s)
    if run.found is None:
        return None
    limit = milliseconds(scenario.latency_ms)
    verdict = {True: "holds", False: "does not hold", None: "may or may not hold"}[run.holds]
    seen = f"{run.found.over_limit or 0:,} of {run.found.latency.queries:,} queries took longer"
    shown = f", and {loads.name} is {milliseconds(run.percentile_ms)}"
    if run.percentile_ms is None:
        shown = f", too few queries for {loads.name}: ask for a duration_s of {loads.carries_s(rate)} at least"
    short = short_of_rules(loads, run.found)
    return ScenarioResult(
        figure="rate that was asked",
        value=rate if run.holds else None,
        unit="queries/s",
        valid=not short,
        detail=f"{loads.who}: {rate_words(rate)} {verdict} {loads.name} within {limit}: {seen}{shown}"
        f"{late_words(run.found, scenario)}. {rules_words(short)}",
    )
