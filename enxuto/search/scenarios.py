"""MLPerf's load scenarios: one query at a time, several samples at a time, and queries that come by chance."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from enxuto.errors import Finding
from enxuto.report import Run, ScenarioResult
from enxuto.scenario import Batching, MultiStream, Server, SingleStream
from enxuto.search.mlperf import RULES, queries_wanted, surely_misses
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.search.points import Points
from enxuto.search.rate import Votes
from enxuto.settings import RunSettings
from enxuto.steps import Arrivals, Failed, LoadRun, OneByOne, Poisson, RunLoad, Subject
from enxuto.words import limit_percent, milliseconds, seconds, settings_words, significant

Loaded = SingleStream | MultiStream | Server
_FEWEST_BEYOND = 10
"""Queries beyond a percentile, for it to say anything."""
_LONGEST = 12
"""Times the asked duration: how long runs at the edge may last so that they carry the percentile."""
_LATE = 0.1
"""Share of the limit: a load generator that is later than this is told."""
_BEST_RATE_FIRST = 0.5
"""Of what requests one by one let expect: where the search of a rate begins."""


@dataclass
class Loads:
    """The load runs of one way to run the model, as they come."""

    points: Points
    settings: RunSettings
    scenario: Loaded
    runs: list[Run] = field(default_factory=list)
    failure: Finding | None = None
    """Of the last run that failed."""

    @property
    def percentile(self) -> float:
        return percentile_of(self.scenario)

    @property
    def name(self) -> str:
        return f"p{self.percentile:g}"


def percentile_of(scenario: Loaded) -> float:
    return scenario.percentile if isinstance(scenario, Server) else RULES[scenario.kind].percentile


def run_scenario(loads: Loads) -> Generator[Task, Reply, ScenarioResult | None]:
    """None where the model does not run at all. ``loads.runs`` is filled on the way."""
    match loads.scenario:
        case Server(rate_per_s=rate) as server:
            return (yield from (_highest_rate(loads, server) if rate is None else _given_rate(loads, server, rate)))
        case SingleStream():
            return (yield from _one_by_one(loads, 1))
        case MultiStream(samples_per_query=samples):
            return (yield from _one_by_one(loads, samples))


def _one_by_one(loads: Loads, samples: int) -> Generator[Task, Reply, ScenarioResult | None]:
    run = yield from _run(loads, OneByOne(samples_per_query=samples), loads.scenario.duration_s)
    if run.found is None:
        return None
    rule, queries = RULES[loads.scenario.kind], run.found.latency.queries
    what = (
        f"{loads.name} of {queries:,} queries is {milliseconds(run.percentile_ms)}"
        if run.percentile_ms is not None
        else f"{queries:,} queries do not carry {loads.name}: ask for a duration_s of "
        f"{_lasts_s(loads, queries / run.found.duration_s):.0f} at least"
    )
    of_eight = rule.samples_per_query == samples
    short = _short_of_rules(loads, run.found, queries, rule.least_queries, of_eight)
    return ScenarioResult(
        figure=rule.figure,
        value=run.percentile_ms,
        unit="ms",
        valid=not short,
        detail=f"{settings_words(loads.settings)}: {what}. {short or _VALID}",
    )


def _given_rate(loads: Loads, scenario: Server, rate: float) -> Generator[Task, Reply, ScenarioResult | None]:
    run = yield from _run(loads, Poisson(rate_per_s=rate), scenario.duration_s)
    if run.found is None:
        return None
    over, queries = run.found.over_limit or 0, run.found.latency.queries
    seen = f"{over:,} of {queries:,} queries took longer than {milliseconds(scenario.latency_ms)}"
    verdict = {True: "holds", False: "does not hold", None: "cannot be told from so few"}[run.holds]
    shown = "" if run.percentile_ms is None else f", {loads.name} is {milliseconds(run.percentile_ms)}"
    short = _short_of_rules(loads, run.found, queries, queries_wanted(loads.percentile, over))
    return ScenarioResult(
        figure="rate that was asked",
        value=rate if run.holds else None,
        unit="queries/s",
        valid=not short,
        detail=f"{settings_words(loads.settings)}: {_rate(rate)} {verdict}: {seen}{shown}"
        f"{_late_words(run.found, scenario)}. {short or _VALID}",
    )


def _highest_rate(loads: Loads, scenario: Server) -> Generator[Task, Reply, ScenarioResult | None]:
    """Doubling and bisection over real runs, begun near what requests one by one let expect."""
    alone = yield from _run(loads, OneByOne(samples_per_query=1), min(2.0, scenario.duration_s))
    if alone.found is None:
        return None
    alone_per_s = scenario.batching.instances * alone.found.queries_per_s
    votes = Votes(start=_BEST_RATE_FIRST * alone_per_s)
    while (rate := votes.next_rate()) is not None:
        again = votes.count(rate)
        lasts_s = scenario.duration_s if not again else _lasts_s(loads, rate)
        run = yield from _run(loads, Poisson(rate_per_s=rate), lasts_s, again)
        if run.found is None and loads.failure and loads.failure.fault == "user":
            return None
        votes.runs.append((rate, run.holds is True))
    return _told_of_rate(loads, scenario, votes, alone.found)


def _told_of_rate(loads: Loads, scenario: Server, votes: Votes, alone: LoadRun) -> ScenarioResult:
    who, limit = settings_words(loads.settings), milliseconds(scenario.latency_ms)
    best, failing = votes.highest_holding, votes.lowest_failing
    how = (
        f"found by doubling and bisection over {len(votes.runs)} runs of {seconds(scenario.duration_s)} or more, "
        f"arrivals drawn with seed {loads.points.request.seed}"
    )
    if best is None:
        detail = (
            f"{who}: no rate holds {loads.name} within {limit}; the lowest that was tried is {_rate(failing or 0)}, "
            f"and alone a request takes {milliseconds(alone.latency.p50_ms)} at the median."
        )
        return ScenarioResult(figure="highest rate", value=None, unit="queries/s", valid=False, detail=detail)
    at_best = [run for run in loads.runs if run.rate_per_s == best and run.found]
    shown = [run.percentile_ms for run in at_best if run.percentile_ms is not None]
    longest = max((run.found for run in at_best if run.found), key=lambda each: each.latency.queries)
    held = f"{sum(run.holds is True for run in at_best)} of {len(at_best)} runs"
    percentiles = f", {loads.name} {' and '.join(milliseconds(each) for each in shown)}" if shown else ""
    above = (
        "no rate was found that does not hold"
        if failing is None
        else f"{_rate(failing)} does not hold ({limit_percent(round(failing / best - 1, 3))} more)"
    )
    queries = longest.latency.queries
    short = _short_of_rules(loads, longest, queries, queries_wanted(loads.percentile, longest.over_limit or 0))
    thin = (
        ""
        if shown
        else f" Its runs are too short to carry {loads.name}: ask for a duration_s of "
        f"{_FEWEST_BEYOND / (1 - loads.percentile / 100) / best:.0f} at least."
    )
    detail = (
        f"{who}: {_rate(best)} holds {loads.name} within {limit} ({held}{percentiles}); {above}; "
        f"{how}{_late_words(longest, scenario)}.{thin} {short or _VALID}"
    )
    return ScenarioResult(
        figure="highest rate", value=best if shown else None, unit="queries/s", valid=not short, detail=detail
    )


def _run(loads: Loads, arrivals: Arrivals, duration_s: float, again: int = 0) -> Generator[Task, Reply, Run]:
    """One load run, written down whatever becomes of it. A repeat draws other arrivals."""
    points, scenario = loads.points, loads.scenario
    rate = arrivals.rate_per_s if isinstance(arrivals, Poisson) else None
    step = RunLoad(
        subject=Subject(model=points.model.file, settings=loads.settings),
        workload=points.request.workload,
        arrivals=arrivals,
        batching=scenario.batching if isinstance(scenario, Server) else Batching(),
        duration_s=duration_s,
        percentile=loads.percentile,
        limit_ms=scenario.latency_ms if isinstance(scenario, Server) else None,
        samples=points.samples,
        preprocessing=points.request.preprocessing,
        load=again,
        seed=points.request.seed + again,
    )
    what = "one by one" if rate is None else _rate(rate)
    message = f"{settings_words(loads.settings)}, queries {what}"
    points.fraction = min(0.95, points.fraction + 0.04)
    reply = yield Task(step, Progress("measure", message, points.fraction))
    points.spent_s += reply.outcome.elapsed_s
    if isinstance(reply.outcome, Failed):
        loads.failure = finding = reply.outcome.finding
        run = Run(settings=loads.settings, rate_per_s=rate, outcome="failed", code=finding.code, reason=finding.detail)
    else:
        result = found(reply.outcome, LoadRun)
        points.noise.append(result.noise)
        run = Run(
            settings=loads.settings,
            rate_per_s=rate,
            outcome="measured",
            found=result,
            holds=holds(result, loads.percentile, single=loads.scenario.kind == "server" and _is_single(loads)),
            percentile_ms=result.percentile_ms,
            raw=[reply.outcome.files[result.latencies_file]],
        )
    loads.runs.append(run)
    return run


def _is_single(loads: Loads) -> bool:
    """Whether one run has to say it all."""
    return isinstance(loads.scenario, Server) and loads.scenario.rate_per_s is not None


def holds(run: LoadRun, percentile: float, *, single: bool) -> bool | None:
    """Whether the percentile stays within the limit of the run; None where there is no limit, or a single run is too
    short to tell by itself."""
    if run.over_limit is None:
        return None
    queries = run.latency.queries
    if not single or run.percentile_ms is not None:
        return run.over_limit <= queries * (1 - percentile / 100) + 1e-9
    if surely_misses(percentile, queries, run.over_limit):
        return False
    return True if queries >= queries_wanted(percentile, run.over_limit) else None


def _lasts_s(loads: Loads, rate_per_s: float) -> float:
    """As long as was asked, and longer where the percentile takes more queries than that."""
    asked_s = loads.scenario.duration_s
    carries_s = 1.05 * _FEWEST_BEYOND / (1 - loads.percentile / 100) / rate_per_s
    return max(asked_s, min(carries_s, _LONGEST * asked_s))


_VALID = "Long enough for MLPerf's rules."


def _short_of_rules(loads: Loads, run: LoadRun, queries: int, least_queries: int, of_eight: bool = True) -> str:
    """What is short of MLPerf's rules, as a sentence; empty where nothing is."""
    rule = RULES[loads.scenario.kind]
    short = []
    if loads.scenario.duration_s < rule.least_s:
        short.append(f"runs of {rule.least_s:g} s (this one took {seconds(run.duration_s)})")
    if queries < least_queries:
        short.append(f"{least_queries:,} queries (these were {queries:,})")
    if not of_eight:
        short.append(f"{rule.samples_per_query} samples in a query")
    return f"Not valid by MLPerf's rules, which want {' and '.join(short)}." if short else ""


def _late_words(run: LoadRun, scenario: Server) -> str:
    if run.sent_late_ms < _LATE * scenario.latency_ms:
        return ""
    return f"; the load generator itself sent queries up to {milliseconds(run.sent_late_ms)} late"


def _rate(rate: float) -> str:
    return f"{significant(rate, 4)} queries/s"
