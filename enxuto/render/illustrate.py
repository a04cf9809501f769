"""Which plots a report has, by the name that its template knows them under; none where nothing was measured."""

from __future__ import annotations

from enxuto.render.figures import batching, latency, layers, memory, nodes, pareto, plan, serving
from enxuto.render.figures.canvas import Drawing
from enxuto.render.figures.latency import Timed
from enxuto.render.figures.memory import Held
from enxuto.render.rows import Row, headline
from enxuto.report import BenchmarkReport, CompareReport, JudgedReport, Measurements, OptimizeReport, ProfileReport
from enxuto.scenario import Server
from enxuto.steps import MemoryUse
from enxuto.words import settings_words

Drawings = dict[str, Drawing]


def optimize_drawings(report: OptimizeReport, rows: list[Row]) -> Drawings:
    first = headline(report)
    sides = [("original", first.before if first else report.baseline.selection)]
    sides += [(first.name, first.after)] if first else []
    found = {
        "size": pareto.speed_against_size(report, rows),
        "loss": pareto.speed_against_loss(report, rows),
        **_timing(report, sides),
        "memory": _memory(sides),
        "layers": layers.scores(report.layers),
    }
    return _those(found)


def compare_drawings(report: CompareReport) -> Drawings:
    asked = report.request
    new, reference = report.model_name, report.against_name
    if asked.settings != asked.against_settings and asked.settings and asked.against_settings:
        new = f"{new}, {settings_words(asked.settings)}"
        reference = f"{reference}, {settings_words(asked.against_settings)}"
    sides = [(f"reference: {reference}", report.measured_against), (f"new: {new}", report.measured)]
    held = [("reference", report.measured_against), ("new model", report.measured)]
    return _those({**_timing(report, sides), "memory": _memory(held)})


def benchmark_drawings(report: BenchmarkReport) -> Drawings:
    found: dict[str, Drawing | None] = {}
    if curves := batching.curves(report):
        found["throughput"] = batching.throughput(curves)
        found["call_time"] = batching.call_time(curves)
        found["memory_batch"] = batching.memory_over_batch(curves, report.request.memory_mb)
    scenario = report.request.scenario
    limit = scenario.latency_ms if isinstance(scenario, Server) else None
    found["distribution"] = serving.distribution(report.runs, limit)
    if isinstance(scenario, Server):
        found["over_rate"] = serving.over_rate(report.runs, f"p{scenario.percentile:g}", limit)
    if report.plan and report.request.serving:
        found["plan_latency"] = plan.foreseen_and_measured(report.plan, report.request.serving.p95_ms)
        found["plan_batches"] = plan.batches_of(report.plan)
    return _those(found)


def profile_drawings(report: ProfileReport) -> Drawings:
    profiles = [report.profile, *([report.against] if report.against else [])]
    found = {
        "operators": nodes.by_operator(profiles),
        "roofline": nodes.roofline(report.profile, report.peaks, "roofline"),
        "memory": _held([(one.model_name, one.memory) for one in profiles if one.memory]),
    }
    if report.against:
        found["against_roofline"] = nodes.roofline(report.against, report.peaks, "against-roofline")
        if report.groups:
            found["groups"] = nodes.by_group(report.groups, (report.profile.model_name, report.against.model_name))
    return _those(found)


def _timing(report: JudgedReport, sides: list[tuple[str, Measurements]]) -> dict[str, Drawing | None]:
    models = [Timed(name, seen.latency) for name, seen in sides if seen.latency]
    if not models:
        return {}
    found: dict[str, Drawing | None] = {"histograms": latency.histograms(models)}
    last = sides[-1][1]
    if len(models) > 1 and last.load_ratios:
        loads = len(models[-1].latency.block_medians_ms)
        shares = [one.disturbed_share for one in report.noise] if len(report.noise) == loads else []
        found["over_time"] = latency.over_time(models, last.load_ratios, last.speedup, report.margin, shares)
    return found


def _memory(sides: list[tuple[str, Measurements]]) -> Drawing | None:
    return _held([(name, seen.memory) for name, seen in sides if seen.memory])


def _held(uses: list[tuple[str, MemoryUse]]) -> Drawing | None:
    return memory.memory_bars([Held(name, use) for name, use in uses]) if uses else None


def _those(found: dict[str, Drawing | None]) -> Drawings:
    return {name: one for name, one in found.items() if one is not None}
