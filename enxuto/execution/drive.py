"""Drives a plan: runs the steps that it asks for, remembers what they found, and stops when told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from enxuto.errors import Interrupted
from enxuto.search.plan import Cancelled, Plan, Progress, Reply
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
        PlanFailed: the job cannot go on.
    """
    started = time.monotonic() - control.spent_s
    try:
        task = next(plan)
        while True:
            control.progress(task.progress)
            if control.interrupted():
                raise Interrupted("stopped between two steps")
            if control.cancelled():
                task = plan.throw(Cancelled())
                continue
            outcome = _perform(task.step, run, machine, journal, control)
            if outcome is None:  # stopped while it ran: the loop's head says which way
                if not control.interrupted() and not control.cancelled():
                    raise Interrupted("a step stopped without being told to")
                continue
            remaining = None if control.deadline_s is None else control.deadline_s - (time.monotonic() - started)
            task = plan.send(Reply(outcome, remaining))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        plan.close()


def _perform(step: Step, run: RunStep, machine: str, journal: Journal, control: Control) -> Outcome | None:
    key = step_key(step, machine)
    if (known := journal.get(key, step)) is not None:
        return known
    try:
        outcome = run(step, stop=lambda: control.interrupted() or control.cancelled())
    except Interrupted:
        return None
    journal.put(key, step, outcome)
    return outcome
