"""What a benchmark says of its ways claims no more than their intervals show."""

from __future__ import annotations

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.machine import this_machine
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Offline
from enxuto.search.benchmark import benchmark
from enxuto.workload import Workload
from tests.support.simulated_load import LoadWorld
from tests.support.simulated_world import a_model


def why(scenario: Offline, *runtimes: str) -> str:
    machine = this_machine().model_copy(update={"cores": 2})
    request = BenchmarkOptions(scenario=scenario, workload=Workload(runtimes=list(runtimes)))  # type: ignore[arg-type]
    plan = benchmark(request, a_model(), None, machine)
    return drive(plan, LoadWorld(luck=0.01), machine="here", journal=MemoryJournal(), control=Control()).why


def test_a_way_that_may_carry_as_much_is_named_beside_the_best() -> None:
    """The highest of several is in part the luckiest."""
    two_alike = why(Offline(batch_sizes=[8]), "onnxruntime", "openvino")
    assert "By their intervals, as much may be carried by: " in two_alike
    twice_as_much = why(Offline(batch_sizes=[8], instances=[1, 2]), "onnxruntime")
    assert "By their intervals" not in twice_as_much
