"""A process in which loading left much behind is measured again, and the lowest counts."""

from __future__ import annotations

from collections.abc import Sequence

from enxuto.errors import Finding
from enxuto.search.memory import lowest_memory
from enxuto.search.plan import Progress, Reply
from enxuto.steps import Done, Failed, MeasureMemory, MemoryUse, Subject
from enxuto.workload import Workload

STEP = MeasureMemory(
    subject=Subject(model="a" * 64), workload=Workload(), samples=None, preprocessing={}, seed=0
)  # fmt: skip


def use(peak_mb: int, left_mb: int | None) -> MemoryUse:
    return MemoryUse(
        peak_bytes=peak_mb * 10**6,
        runtime_bytes=80 * 10**6,
        loaded_bytes=(100 + (left_mb or 0)) * 10**6,
        steady_bytes=peak_mb * 10**6,
        weights_bytes=None if left_mb is None else 20 * 10**6,
    )


def measured(*seen: MemoryUse | None) -> tuple[MemoryUse | None, Sequence[int]]:
    """What comes out of these processes, and which of them ran."""
    plan = lowest_memory(STEP, Progress("measure", "", 0.5))
    loads, replies = [], iter(seen)
    task = next(plan)
    while True:
        assert isinstance(task.step, MeasureMemory)
        loads.append(task.step.load)
        found = next(replies)
        lack = Finding(code="out_of_memory", detail="no")
        outcome = Done(result=found, files={}, elapsed_s=1.0) if found else Failed(finding=lack, elapsed_s=1.0)
        try:
            task = plan.send(Reply(outcome, None))
        except StopIteration as stop:
            return stop.value, loads


def test_one_process_is_enough_where_loading_left_little() -> None:
    assert measured(use(130, 5)) == (use(130, 5), [0])


def test_up_to_five_run_and_the_lowest_counts() -> None:
    seen = [use(peak, 30) for peak in (160, 150, 170, 155, 165)]
    assert measured(*seen) == (use(150, 30), [0, 1, 2, 3, 4])


def test_three_that_agree_are_enough() -> None:
    assert measured(*[use(150, 30)] * 3) == (use(150, 30), [0, 1, 2])


def test_it_ends_with_the_first_that_was_lucky() -> None:
    assert measured(use(150, 30), use(125, 2)) == (use(125, 2), [0, 1])


def test_where_the_split_is_not_told_one_is_enough() -> None:
    assert measured(use(150, None)) == (use(150, None), [0])


def test_a_failure_ends_it_and_keeps_what_was_seen() -> None:
    assert measured(None) == (None, [0])
    assert measured(use(150, 30), None) == (use(150, 30), [0, 1])
