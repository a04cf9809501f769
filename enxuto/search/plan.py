"""How a plan talks to whoever runs its steps.

A plan is a generator: it yields tasks, is sent replies, and returns a report. It touches no file and reads no clock, so
the same replies lead to the same tasks: a resumed job replays its plan against the replies recorded so far.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from enxuto.errors import EnxutoError, Finding
from enxuto.steps import Outcome, Step

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """What a person waiting should see."""

    phase: str
    """One word: inspect, apply, evaluate, measure, confirm, …"""
    message: str
    fraction: float
    """Of the whole job, 0 to 1, as far as can be told."""


@dataclass(frozen=True)
class Task:
    """A step that the plan wants done."""

    step: Step
    progress: Progress


@dataclass(frozen=True)
class Reply:
    outcome: Outcome
    remaining_s: float | None
    """Until the deadline; None where there is none. Steers how much more is tried, never what is reported."""


Plan = Generator[Task, Reply, T]


class PlanFailed(EnxutoError):
    """The job as a whole cannot go on; the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail, code=finding.code, hint=finding.hint)
        self._finding = finding

    @property
    def finding(self) -> Finding:
        return self._finding


class Cancelled(Exception):
    """Thrown into a plan: return the best so far."""
