"""Runs a model under load and writes down every run: what MLPerf's scenarios are made of."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from math import ceil

from enxuto.errors import Finding
from enxuto.report import Run
from enxuto.scenario import Batching, MultiStream, Server, SingleStream
from enxuto.search.mlperf import RULES, Rule, queries_wanted, surely_misses
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.search.points import Points
from enxuto.settings import RunSettings
from enxuto.steps import Arrivals, Failed, LoadRun, Poisson, RunLoad, Subject
from enxuto.words import milliseconds, seconds, settings_words, significant

Loaded = SingleStream | MultiStream | Server
_FEWEST_BEYOND = 10
"""Queries beyond a percentile, for it to say anything."""
_SPARE = 1.1
"""Of queries, since how many come in a time is chance."""
_LATE = 0.1
"""Share of the limit: a load generator that is later than this is told."""
_VALID = "Long enough for MLPerf's rules."


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
    def rule(self) -> Rule:
        return RULES[self.scenario.kind]

    @property
    def percentile(self) -> float:
        return self.scenario.percentile if isinstance(self.scenario, Server) else self.rule.percentile

    @property
    def name(self) -> str:
        return f"p{self.percentile:g}"

    @property
    def who(self) -> str:
        return settings_words(self.settings)

    def carries_s(self, rate_per_s: float) -> int:
        """How long a run must be for its queries to carry the percentile."""
        return ceil(_SPARE * _FEWEST_BEYOND / (1 - self.percentile / 100) / rate_per_s)


def run_load(loads: Loads, arrivals: Arrivals, duration_s: float, again: int = 0) -> Generator[Task, Reply, Run]:
    """One load run, written down whatever becomes of it. A repeat draws other arrivals."""
    points = loads.points
    rate = arrivals.rate_per_s if isinstance(arrivals, Poisson) else None
    what = "queries one by one" if rate is None else rate_words(rate)
    progress = Progress("measure", f"{loads.who}, {what}", points.advance())
    reply = yield Task(_step(loads, arrivals, duration_s, again), progress)
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
            holds=holds(result, loads.percentile, single=_is_single(loads.scenario)),
            percentile_ms=result.percentile_ms,
            raw=[reply.outcome.files[result.latencies_file]],
        )
    loads.runs.append(run)
    return run


def _step(loads: Loads, arrivals: Arrivals, duration_s: float, again: int) -> RunLoad:
    points, scenario = loads.points, loads.scenario
    server = scenario if isinstance(scenario, Server) else None
    return RunLoad(
        subject=Subject(model=points.model.file, settings=loads.settings),
        workload=points.request.workload,
        arrivals=arrivals,
        batching=server.batching if server else Batching(),
        duration_s=duration_s,
        percentile=loads.percentile,
        limit_ms=server.latency_ms if server else None,
        samples=points.samples,
        preprocessing=points.request.preprocessing,
        load=again,
        seed=points.request.seed + again,
    )


def _is_single(scenario: Loaded) -> bool:
    """Whether one run has to say it all."""
    return isinstance(scenario, Server) and scenario.rate_per_s is not None


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


def short_of_rules(loads: Loads, run: LoadRun, samples_per_query: int = 1) -> str:
    """What is short of MLPerf's rules, as a sentence; empty where nothing is."""
    rule, queries = loads.rule, run.latency.queries
    least = rule.least_queries
    if run.over_limit is not None:
        least = queries_wanted(loads.percentile, run.over_limit)
    short = []
    if loads.scenario.duration_s < rule.least_s:
        short.append(f"runs of {rule.least_s:g} s (this one took {seconds(run.duration_s)})")
    if queries < least:
        short.append(f"{least:,} queries (these were {queries:,})")
    if samples_per_query != rule.samples_per_query:
        short.append(f"{rule.samples_per_query} samples in a query")
    return f"Not valid by MLPerf's rules, which want {' and '.join(short)}." if short else ""


def rules_words(short: str) -> str:
    return short or _VALID


def late_words(run: LoadRun, scenario: Server) -> str:
    """A clause, where the load generator itself made queries wait."""
    if run.sent_late_ms < _LATE * scenario.latency_ms:
        return ""
    return f"; the load generator itself sent queries up to {milliseconds(run.sent_late_ms)} late"


def rate_words(rate: float) -> str:
    return f"{significant(rate, 4)} queries/s"
