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
    """Why it is inconclusive and what was seen meanwhile; empty where it is clear."""
    clocks_agree: bool = True


def judge_speed(seen: Measurements, conditions: Conditions) -> JudgedSpeed:
    """Raises ValueError where there is no speedup to judge."""
    if seen.speedup is None:
        raise ValueError("these measurements hold no speedup")
    verdict, reason = speed_verdict(seen.speedup, conditions.margin), ""
    if verdict == "inconclusive":
        reason = f"the interval reaches across the margin of {limit_percent(conditions.margin)} that counts as equal"
    cpu = seen.cpu_speedup
    agree = not (conditions.one_thread and cpu) or clocks_agree(seen.speedup, cpu, conditions.margin)
    if cpu and not agree:
        verdict = "inconclusive"
        reason = (
            f"wall and processor time disagree: by processor time it is {cpu.value:.2f}× "
            f"({cpu.low:.2f}–{cpu.high:.2f}) as fast"
        )
    if verdict != "inconclusive":
        return JudgedSpeed(verdict, "")
    what = unrest(seen.load_ratios, conditions.noise)
    return JudgedSpeed(verdict, f"{reason}; seen: {what}" if what else reason, agree)


def on_one_thread(workload: Workload, *settings: RunSettings) -> bool:
    """Whether models that are set up like this use one thread each."""
    return all((each.threads or workload.threads) == 1 and not _branches(each) for each in settings)


def _branches(settings: RunSettings) -> bool:
    return (
        isinstance(settings, OnnxRuntimeSettings)
        and settings.execution_mode == "parallel"
        and settings.inter_op_threads > 1
    )
