"""A speedup is judged by the margin, by both clocks where that means something, and by who else was there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.aa import SAME, Rival
from enxuto.report import Latency, Measurements
from enxuto.search.speed import Conditions, judge_speed, on_one_thread
from enxuto.search.timing import Timed
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.steps import Estimate, Histogram
from enxuto.workload import Workload


def measured(low: float, high: float, cpu_low: float | None = None, cpu_high: float | None = None) -> Measurements:
    def estimate(low: float, high: float) -> Estimate:
        return Estimate(value=(low * high) ** 0.5, low=low, high=high, confidence=0.95)

    cpu = estimate(cpu_low, cpu_high) if cpu_low and cpu_high else None
    return Measurements(speedup=estimate(low, high), cpu_speedup=cpu)


def test_a_clear_verdict_has_no_doubt() -> None:
    judged = judge_speed(measured(1.9, 2.1, 1.9, 2.1), Conditions(0.03, one_thread=True, noise=[]))
    assert (judged.verdict, judged.doubt, judged.at_least) == ("improved", "", 1.9)


def test_what_both_clocks_call_faster_is_faster_though_they_disagree_by_how_much() -> None:
    judged = judge_speed(measured(4.5, 5.5, 1.9, 2.1), Conditions(0.03, one_thread=True, noise=[]))
    assert (judged.verdict, judged.at_least) == ("improved", 1.9)
    assert "by processor time it is 2.00× (1.90–2.10) as fast" in judged.doubt


def test_what_one_clock_alone_calls_faster_is_open() -> None:
    for cpu in ((0.98, 1.02), (0.8, 0.9), (1.0, 1.1)):
        judged = judge_speed(measured(1.5, 1.6, *cpu), Conditions(0.03, one_thread=True, noise=[]))
        assert (judged.verdict, judged.at_least) == ("inconclusive", cpu[0])


def test_even_no_gain_is_open_where_the_clocks_disagree() -> None:
    seen = measured(0.99, 1.01, 1.2, 1.3)
    assert judge_speed(seen, Conditions(0.03, one_thread=True, noise=[])).verdict == "inconclusive"
    assert judge_speed(seen, Conditions(0.03, one_thread=False, noise=[])).verdict == "no_gain"


@pytest.mark.parametrize(("threads", "verdict"), [(1, "inconclusive"), (2, "no_gain")])
def test_the_bench_that_shows_the_power_judges_as_a_job_does(threads: int, verdict: str) -> None:
    """By wall time alone it would show more than users get."""
    seen, rival = measured(0.99, 1.01, 1.2, 1.3), Rival(SAME, Path("model.onnx"), 1.0)
    assert seen.speedup
    assert seen.cpu_speedup
    latency = Latency(
        p50_ms=1.0, p95_ms=None, p99_ms=None, cpu_ms=1.0, throughput=1000.0, calls=9, loads=3, raw=[],
        histogram=Histogram(edges_ms=[0.0, 1.0], counts=[9]), block_medians_ms=[],
    )  # fmt: skip
    rival.add(Timed(latency, seen.speedup, seen.cpu_speedup, [1.0] * 3), Workload(threads=threads), [])
    assert rival.verdicts == [verdict]
    assert rival.share(verdict) == 1.0


def test_what_was_not_timed_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="no speedup"):
        judge_speed(Measurements(), Conditions(0.03, one_thread=True, noise=[]))


@pytest.mark.parametrize(
    ("threads", "settings", "one"),
    [
        (1, OnnxRuntimeSettings(), True),
        (1, OpenVinoSettings(), True),
        (2, OnnxRuntimeSettings(), False),
        (2, OnnxRuntimeSettings(threads=1), True),
        (1, OpenVinoSettings(threads=4), False),
        (1, OnnxRuntimeSettings(execution_mode="parallel", inter_op_threads=2), False),
        (1, OnnxRuntimeSettings(inter_op_threads=2), True),
    ],
)
def test_settings_say_whether_one_thread_runs(threads: int, settings: RunSettings, one: bool) -> None:
    assert on_one_thread(Workload(threads=threads), OnnxRuntimeSettings(threads=1), settings) is one
