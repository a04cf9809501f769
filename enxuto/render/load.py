"""What the pages of benchmarks and profiles say beside their plots."""

from __future__ import annotations

from enxuto.render.figures.batching import curves
from enxuto.render.figures.nodes import caches, ranked
from enxuto.render.figures.serving import PERCENTILES, name_of
from enxuto.report import BenchmarkReport, Knee, LargestBatch, Point, ProfileReport
from enxuto.words import way_words

_MOST_OPTIONS = 20
_MOST_NODES = 20


def benchmark_facts(report: BenchmarkReport) -> dict[str, object]:
    best, shown, ways = _best(report), len(curves(report)), by_way(report.points)
    return {
        "best": best,
        "best_knee": _knee_of(report, best),
        "ways": list(ways.items()),
        "curves_shown": shown,
        "curves_left_out": len(ways) - shown,
        "tried": _tried,
        "percentile_names": [(name, name_of(name)) for name in PERCENTILES],
        "most_options": _MOST_OPTIONS,
    }


def profile_facts(report: ProfileReport) -> dict[str, object]:
    return {"ranked": ranked, "most_nodes": _MOST_NODES, "caches": caches(report.peaks)}


def by_way(points: list[Point]) -> dict[str, list[Point]]:
    """Points by how the model was run, in the order of their batch sizes."""
    found: dict[str, list[Point]] = {}
    for one in points:
        found.setdefault(way_words(one.settings, one.threads, one.instances), []).append(one)
    return {way: sorted(these, key=lambda one: one.batch_size) for way, these in found.items()}


def _best(report: BenchmarkReport) -> Point | None:
    timed = [one for one in report.points if one.samples_per_s]
    return max(timed, key=lambda one: one.samples_per_s.value if one.samples_per_s else 0.0, default=None)


def _knee_of(report: BenchmarkReport, best: Point | None) -> Knee | None:
    if best is None:
        return None
    way = (best.settings, best.threads, best.instances)
    return next((one for one in report.knees if (one.settings, one.threads, one.instances) == way), None)


def _tried(one: LargestBatch) -> list[tuple[int, int | None]]:
    return sorted((int(size), peak) for size, peak in one.tried.items())
