"""Driving a plan: nothing is done twice, a cancel keeps the best so far, a takeover leaves everything as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from enxuto.errors import Interrupted
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.search.plan import Plan, Progress, Reply, Stopped, Task
from enxuto.steps import Done, Outcome, Rendered, RenderReport, Step, step_key


def step(number: int) -> RenderReport:
    return RenderReport(report=f"{number:064x}")


def three_steps() -> Plan[list[str]]:
    """Collects what each of three steps found; what there is of it when stopped."""
    found: list[str] = []
    try:
        for number in range(3):
            reply: Reply = yield Task(step(number), Progress("try", f"step {number}", number / 3))
            assert isinstance(reply.outcome, Done)
            assert isinstance(reply.outcome.result, Rendered)
            found.append(reply.outcome.result.file)
    except Stopped as stop:
        found.append(stop.reason)
    return found


class Runner:
    """Answers each step by name, and counts; ends early when told to while it runs."""

    def __init__(self, during: Callable[[int], None] = lambda number: None) -> None:
        self.ran: list[int] = []
        self._during = during

    def __call__(self, step: Step, *, stop: Callable[[], bool]) -> Outcome:
        assert isinstance(step, RenderReport)
        number = int(step.report, 16)
        self.ran.append(number)
        self._during(number)
        if stop():
            raise Interrupted("told to")
        return Done(result=Rendered(file=f"found {number}"), files={}, elapsed_s=1.0)


class Switch:
    """A flag that is put up while a certain step runs."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.up = False

    def during(self, number: int) -> None:
        self.up = self.up or number == self._at

    def asked(self) -> bool:
        return self.up


def test_a_plan_is_driven_to_its_end_and_tells_how_far_it_is() -> None:
    told: list[Progress] = []
    found = drive(three_steps(), Runner(), machine="m", journal=MemoryJournal(), control=Control(progress=told.append))
    assert found == ["found 0", "found 1", "found 2"]
    assert [progress.message for progress in told] == ["step 0", "step 1", "step 2"]


def test_a_resumed_plan_runs_only_what_no_attempt_has_finished() -> None:
    journal, lost = MemoryJournal(), Switch(at=1)
    first = Runner(lost.during)
    with pytest.raises(Interrupted):
        drive(three_steps(), first, machine="m", journal=journal, control=Control(interrupted=lost.asked))
    second = Runner()
    assert drive(three_steps(), second, machine="m", journal=journal, control=Control()) == [
        "found 0",
        "found 1",
        "found 2",
    ]
    assert first.ran == [0, 1]
    assert second.ran == [1, 2]


def test_a_plan_that_is_done_replays_without_running_anything() -> None:
    journal, again = MemoryJournal(), Runner()
    drive(three_steps(), Runner(), machine="m", journal=journal, control=Control())
    assert len(drive(three_steps(), again, machine="m", journal=journal, control=Control())) == 3
    assert again.ran == []


def test_a_cancel_while_a_step_runs_returns_the_best_so_far() -> None:
    cancel, journal = Switch(at=1), MemoryJournal()
    runner = Runner(cancel.during)
    found = drive(three_steps(), runner, machine="m", journal=journal, control=Control(cancelled=cancel.asked))
    assert found == ["found 0", "cancelled"]
    assert runner.ran == [0, 1]
    assert journal.get(step_key(step(1), "m"), step(1)) is None


def test_a_cancelled_plan_still_counts_what_earlier_attempts_found() -> None:
    journal, lost = MemoryJournal(), Switch(at=1)
    with pytest.raises(Interrupted):
        drive(three_steps(), Runner(lost.during), machine="m", journal=journal, control=Control(interrupted=lost.asked))
    after = Runner()
    found = drive(three_steps(), after, machine="m", journal=journal, control=Control(cancelled=lambda: True))
    assert found == ["found 0", "cancelled"]
    assert after.ran == []


def test_an_interrupt_wins_over_a_cancel_and_answers_nothing() -> None:
    both = Control(cancelled=lambda: True, interrupted=lambda: True)
    with pytest.raises(Interrupted):
        drive(three_steps(), Runner(), machine="m", journal=MemoryJournal(), control=both)


def test_a_deadline_that_earlier_attempts_used_up_ends_with_the_best_so_far() -> None:
    spent = Control(deadline_s=10, spent_s=11)
    assert drive(three_steps(), Runner(), machine="m", journal=MemoryJournal(), control=spent) == ["deadline"]


def test_a_plan_learns_how_much_of_its_deadline_is_left() -> None:
    left: list[float | None] = []

    def ask() -> Plan[None]:
        reply = yield Task(step(0), Progress("try", "", 0))
        left.append(reply.remaining_s)

    drive(ask(), Runner(), machine="m", journal=MemoryJournal(), control=Control(deadline_s=100, spent_s=40))
    drive(ask(), Runner(), machine="m", journal=MemoryJournal(), control=Control())
    assert left[0] == pytest.approx(60, abs=1)
    assert left[1] is None


def test_a_plan_is_closed_however_it_ends() -> None:
    closed: list[bool] = []

    def plan() -> Plan[None]:
        try:
            yield Task(step(0), Progress("try", "", 0))
        finally:
            closed.append(True)

    def fail(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        drive(plan(), Runner(fail), machine="m", journal=MemoryJournal(), control=Control())
    assert closed == [True]
