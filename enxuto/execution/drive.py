"""Drives a plan: runs the steps that it asks for, remembers what they found, and stops when told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from enxuto.errors import Interrupted
from enxuto.search.plan import Plan, Progress, Reply, Stopped, StopReason
from enxuto.steps import Outcome, Step, step_key

T = TypeVar("T")


class RunStep(Protocol):
    """Runs one step in a process of its own; ends early with ``Interrupted`` when ``stop()`` becomes true."""

    def __call__(self, step: Step, *, stop: Callable[[], bool]) -> Outcome: ...


class Journal(Protocol):
    """Remembers what steps found, so that a resumed job repeats nothing that is done."""

    def get(self, key: str, step: Step) -> Outcome | None: ...

    def put(self, key: str, step: Step, outcome: Outcome) -> None: ...


class MemoryJournal:
    """Forgets everything when the process ends; what the library uses."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}

    def get(self, key: str, step: Step) -> Outcome | None:
        return self._outcomes.get(key)

    def put(self, key: str, step: Step, outcome: Outcome) -> None:
        self._outcomes[key] = outcome


@dataclass
class Control:
    """How the outside reaches a plan that is being driven."""

    cancelled: Callable[[], bool] = lambda: False
    """Asked between steps and while one runs: end with the best so far."""
    interrupted: Callable[[], bool] = lambda: False
    """Likewise: stop at once and leave the rest to whoever takes over (lost lease, shutdown)."""
    progress: Callable[[Progress], None] = field(default=lambda progress: None)
    deadline_s: float | None = None
    spent_s: float = 0.0
    """Of the deadline, by earlier attempts."""


def drive(plan: Plan[T], run: RunStep, *, machine: str, journal: Journal, control: Control) -> T:
    """Run a plan to its end and return what it returns.

    Raises:
        Interrupted: told to stop without an answer.
        EnxutoError: the job cannot go on; its finding says why.
    """
    clock = _Clock(control)
    try:
        task = next(plan)
        while True:
            control.progress(task.progress)
            outcome = _perform(task.step, run, machine, journal, clock)
            if outcome is not None:
                task = plan.send(Reply(outcome, clock.remaining_s()))
            elif reason := clock.stop_reason():
                task = plan.throw(Stopped(reason))
            else:
                raise Interrupted("the job was taken from this process before it ended")
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        plan.close()


class _Clock:
    """Tells when to stop, and why."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._started = time.monotonic() - control.spent_s

    def remaining_s(self) -> float | None:
        if self._control.deadline_s is None:
            return None
        return self._control.deadline_s - (time.monotonic() - self._started)

    def stop_reason(self) -> StopReason | None:
        """None while there is none, and where the plan is to be left as it is."""
        if self._control.interrupted():
            return None
        if self._control.cancelled():
            return "cancelled"
        remaining = self.remaining_s()
        return "deadline" if remaining is not None and remaining <= 0 else None

    def halted(self) -> bool:
        return self._control.interrupted() or self.stop_reason() is not None


def _perform(step: Step, run: RunStep, machine: str, journal: Journal, clock: _Clock) -> Outcome | None:
    """None where the step was ended before it was done."""
    key = step_key(step, machine)
    if (known := journal.get(key, step)) is not None:
        return known
    if clock.halted():  # after the journal was asked: what earlier attempts found is part of the best so far
        return None
    try:
        outcome = run(step, stop=clock.halted)
    except Interrupted:
        return None
    journal.put(key, step, outcome)
    return outcome
