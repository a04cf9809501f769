"""Judges a measured speedup under the conditions that it was seen in, and says what kept it from being clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enxuto.judge.speed import SpeedVerdict, speed_verdict
from enxuto.judge.unrest import clocks_agree, unrest
from enxuto.report import Measurements
from enxuto.settings import OnnxRuntimeSettings, RunSettings
from enxuto.steps import HostNoise
from enxuto.words import limit_percent
from enxuto.workload import Workload


@dataclass(frozen=True)
class Conditions:
    """What a speedup is judged by, beside itself."""

    margin: float
    one_thread: bool
    """Whether each model ran on one thread, so that wall and processor time must agree."""
    noise: Sequence[HostNoise]
    """Of the loads that it was seen in."""


@dataclass(frozen=True)
class JudgedSpeed:
    verdict: SpeedVerdict
    doubt: str
    """Why it is inconclusive, or how much faster it is, and what was seen meanwhile; empty where both are clear."""
    at_least: float
    """The speedup that both clocks vouch for."""


def judge_speed(seen: Measurements, conditions: Conditions) -> JudgedSpeed:
    """Where the clocks disagree, somebody took the core: then the verdict is the one that both come to by themselves.

    Raises ValueError where there is no speedup to judge.
    """
    wall, cpu = seen.speedup, seen.cpu_speedup
    if wall is None:
        raise ValueError("these measurements hold no speedup")
    verdict, reason, at_least = speed_verdict(wall, conditions.margin), "", wall.low
    if verdict == "inconclusive":
        reason = f"the interval reaches across the margin of {limit_percent(conditions.margin)} that counts as equal"
    if conditions.one_thread and cpu and not clocks_agree(wall, cpu, conditions.margin):
        at_least = min(at_least, cpu.low)
        if verdict == "no_gain" or verdict != speed_verdict(cpu, conditions.margin):
            verdict = "inconclusive"
        reason = (
            f"wall and processor time disagree: by processor time it is {cpu.value:.2f}× "
            f"({cpu.low:.2f}–{cpu.high:.2f}) as fast"
        )
    what = unrest(seen.load_ratios, conditions.noise) if reason else ""
    return JudgedSpeed(verdict, f"{reason}; seen: {what}" if what else reason, at_least)


def on_one_thread(workload: Workload, *settings: RunSettings) -> bool:
    """Whether models that are set up like this use one thread each."""
    return all((each.threads or workload.threads) == 1 and not _branches(each) for each in settings)


def _branches(settings: RunSettings) -> bool:
    return (
        isinstance(settings, OnnxRuntimeSettings)
        and settings.execution_mode == "parallel"
        and settings.inter_op_threads > 1
    )
