"""What a profile hands back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.report import MatchedGroup, Node, OperatorType, ProfiledModel, ProfileReport
from enxuto.schema import Value
from enxuto.settings import RunSettings
from enxuto.steps import Peaks

SLOWEST_NODES = 100
"""Nodes in the result of a profile, at most: a network may have tens of thousands."""


class Roofline(Value):
    """What the machine can do at most, and where its roof bends."""

    peaks: Peaks
    measured_before: bool
    """Whether the peaks are from an earlier job on the same kind of machine."""
    fp32_ridge: float
    """Operations a byte above which FP32 work is bound by computing, and below which by memory."""
    int8_ridge: float
    """The same for 8-bit integers."""


class ProfileSide(Value):
    """One model as it was profiled."""

    model: str | None
    """Its id."""
    settings: RunSettings
    call_ms: float
    """Median time of a call while nothing is recorded."""
    recorded_ms: float
    """The same while nodes are timed."""
    nodes: list[Node] = Field(max_length=SLOWEST_NODES)
    """Slowest first; at most 100, the report holds all of them."""
    operators: list[OperatorType]
    """Slowest first."""


class ProfileResult(ProfileSide):
    kind: Literal["profile"] = "profile"
    why: str
    """Where the time goes, in a sentence or two."""
    roofline: Roofline
    against: ProfileSide | None
    """The model beside it, where there is one."""
    groups: list[MatchedGroup] = Field(max_length=SLOWEST_NODES)
    """Nodes of both that do the same work, largest difference first; at most 100."""


def profile_result(report: ProfileReport) -> ProfileResult:
    return ProfileResult(
        **dict(_side(report.profile)),
        why=report.why,
        roofline=_roofline(report.peaks, report.peaks_measured_before),
        against=_side(report.against) if report.against else None,
        groups=report.groups[:SLOWEST_NODES],
    )


def _side(profiled: ProfiledModel) -> ProfileSide:
    return ProfileSide(
        model=profiled.model.id,
        settings=profiled.settings,
        call_ms=profiled.call_ms,
        recorded_ms=profiled.recorded_ms,
        nodes=sorted(profiled.nodes, key=lambda node: -node.ms)[:SLOWEST_NODES],
        operators=profiled.operators,
    )


def _roofline(peaks: Peaks, measured_before: bool) -> Roofline:
    return Roofline(
        peaks=peaks,
        measured_before=measured_before,
        fp32_ridge=peaks.fp32_gflops / peaks.bandwidth_gb_s,
        int8_ridge=peaks.int8_gops / peaks.bandwidth_gb_s,
    )
