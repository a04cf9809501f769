"""How many loads are timed, and which of them count, told from facts about the models and the machine."""

from __future__ import annotations

import pytest

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal
from enxuto.request import CompareOptions, OptimizeOptions, RunOptions
from enxuto.search.plan import Plan, Progress
from enxuto.search.timing import CONFIRMING, SCREENING, Effort, SideBySide, time_side_by_side
from enxuto.steps import Failed, MeasureLatency, Subject, SummarizeLatency
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, digest

FIRST = CONFIRMING.first_load


def plan(subjects: list[Subject], request: RunOptions, effort: Effort, margin: float) -> Plan[SideBySide]:
    outcome = yield from time_side_by_side(
        subjects, request, None, effort, margin, lambda load: Progress("measure", f"load {load}", 0.0)
    )
    assert not isinstance(outcome, Failed)
    return outcome


def time_pair(
    world: World, *, request: RunOptions | None = None, effort: Effort = CONFIRMING, margin: float = 0.03
) -> SideBySide:
    """The original beside the model that the world knows as ``lean``."""
    subjects = [Subject(model=ORIGINAL), Subject(model=digest("lean"))]
    asked = plan(subjects, request or RunOptions(), effort, margin)
    return drive(asked, world, machine="here", journal=MemoryJournal(), control=Control())


def loads(world: World) -> list[MeasureLatency]:
    return [step for step in world.done if isinstance(step, MeasureLatency)]


def test_a_clear_difference_takes_the_fewest_loads():
    world = World({"lean": Facts(speedup=2.0)})
    found = time_pair(world)
    assert len(loads(world)) == CONFIRMING.least
    assert found.timed[1].speedup.value == pytest.approx(2.0, rel=0.01)
    assert len({step.load for step in loads(world)}) == CONFIRMING.least


def test_loads_are_added_while_the_interval_is_wide():
    world = World({"lean": Facts(speedup=2.0)}, luck=0.03)
    found = time_pair(world)
    assert len(loads(world)) > CONFIRMING.least
    assert found.timed[1].latency.loads == len(loads(world))


def test_loads_are_added_while_the_interval_reaches_across_the_margin_and_not_without_end():
    world = World({"lean": Facts(speedup=1.03)}, luck=0.004)
    time_pair(world)
    assert len(loads(world)) == CONFIRMING.most


def test_a_difference_within_a_wider_margin_is_settled_at_once():
    world = World({"lean": Facts(speedup=1.03)}, luck=0.004)
    time_pair(world, margin=0.1)
    assert len(loads(world)) == CONFIRMING.least


def test_screening_takes_as_many_loads_as_it_says_whatever_it_sees():
    world = World({"lean": Facts(speedup=1.03)}, luck=0.05)
    time_pair(world, effort=SCREENING)
    assert len(loads(world)) == SCREENING.most


@pytest.mark.parametrize("how", ["disturbed_loads", "mostly_disturbed_loads"])
def test_a_load_that_shared_its_core_is_set_aside_and_another_one_is_timed(how: str):
    world = World({"lean": Facts(speedup=2.0)}, **{how: frozenset({FIRST + 1, FIRST + 4})})
    found = time_pair(world)
    assert len(loads(world)) == CONFIRMING.least + 2
    assert found.timed[1].latency.loads == CONFIRMING.least
    assert min(found.timed[1].ratios) > 1.9
    assert len(found.noise) == CONFIRMING.least + 2, "what was set aside is still told of"
    (pooled,) = [step for step in world.done if isinstance(step, SummarizeLatency)]
    assert len(pooled.calls) == CONFIRMING.least


def test_where_hardly_a_load_had_a_core_of_its_own_all_count():
    disturbed = frozenset(range(FIRST + 2, FIRST + CONFIRMING.most))
    world = World({"lean": Facts(speedup=2.0)}, disturbed_loads=disturbed)
    found = time_pair(world)
    assert found.timed[1].latency.loads == len(loads(world)) == CONFIRMING.most
    assert found.timed[1].speedup.high / found.timed[1].speedup.low > 1.05


def test_few_loads_of_slow_models_are_enough():
    world = World({"lean": Facts(speedup=2.0)}, step_s=30.0, calls=10)
    assert time_pair(world).timed[1].latency.loads == 3


def test_a_goal_that_limits_the_percentile_gets_calls_enough_though_they_are_slow():
    request = OptimizeOptions(goal=Goal(p95_ms=100.0))
    world = World({"lean": Facts(speedup=2.0)}, step_s=30.0, calls=20)
    found = time_pair(world, request=request)
    assert len(loads(world)) == 10
    assert found.timed[1].latency.loads == 10


def test_loads_are_added_until_they_carry_the_percentile_where_that_takes_no_long():
    world = World({"lean": Facts(speedup=2.0)}, calls=25)
    time_pair(world, request=CompareOptions(workload=Workload()))
    assert len(loads(world)) == 8


def test_processor_time_is_judged_over_loads_too():
    found = time_pair(World({"lean": Facts(speedup=2.0, cpu_speedup=1.5)}))
    assert found.timed[1].cpu_speedup.value == pytest.approx(1.5, rel=0.01)
