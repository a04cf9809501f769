"""How a plan talks to whoever runs its steps.

A plan is a generator: it yields tasks, is sent replies, and returns a report. It touches no file and reads no clock, so
the same replies lead to the same tasks: a resumed job replays its plan against the replies recorded so far.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from enxuto.errors import Reported
from enxuto.schema import Value
from enxuto.steps import Done, Outcome, Step

T = TypeVar("T")
R = TypeVar("R", bound=Value)


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


class PlanFailed(Reported):
    """The job as a whole cannot go on; the finding says why."""


StopReason = Literal["deadline", "cancelled"]


class Stopped(Exception):
    """Thrown into a plan: return the best so far."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Meter:
    """Adds up what a plan's steps took, whenever and by whomever they were run, and keeps what time is left."""

    spent_s: float = 0.0
    remaining_s: float | None = None
    """Until the deadline, as the latest reply told."""
    taken: list[tuple[Step, float]] = field(default_factory=list)
    """Steps that were done, and the seconds of each: what is still to come is guessed from them."""


def metered(plan: Plan[T], meter: Meter) -> Plan[T]:
    """The same plan, with its meter running."""
    try:
        task = next(plan)
        while True:
            try:
                reply = yield task
            except Stopped as stop:
                task = plan.throw(stop)
            else:
                meter.spent_s += reply.outcome.elapsed_s
                meter.remaining_s = reply.remaining_s
                meter.taken.append((task.step, reply.outcome.elapsed_s))
                task = plan.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result


def found(outcome: Done[Value], kind: type[R]) -> R:
    """What a step found; its kind follows from the step's own kind, so another one is a defect."""
    if not isinstance(outcome.result, kind):
        raise TypeError(f"a step found {type(outcome.result).__name__} instead of {kind.__name__}")
    return outcome.result
