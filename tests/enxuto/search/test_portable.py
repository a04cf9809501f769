"""What wins holds on the processors that were asked for, or gives way to what does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.machine import this_machine
from enxuto.report import OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.search.portable import made_for
from enxuto.techniques import GraphOptimization, StaticInt8
from enxuto.workload import Workload
from tests.support.simulated_world import Facts, World, a_dataset, a_model, digest

PLAIN = Workload(runtimes=["onnxruntime"])
INT8 = Facts(speedup=2.2, size_bytes=1_000_000, drop=0.002)
FOR_AVX2 = "static_int8(processor=x86_avx2)"
needs_processor = pytest.mark.skipif("processor" not in StaticInt8.model_fields, reason="static_int8 takes none yet")


def search(world: World, **asked: object) -> OptimizeReport:
    request = OptimizeOptions.model_validate({"workload": PLAIN} | asked)
    plan = optimize(request, a_model(), a_dataset(), None, this_machine())
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())


def saturating(model: str) -> bool:
    return model == digest("static_int8")


def test_where_the_winner_holds_is_said_for_every_kind_of_processor() -> None:
    report = search(World({"static_int8": INT8}, saturates=saturating))
    assert report.winner == "static_int8", "nobody asked for another processor"
    assert report.portability is not None
    held = {each.processor: each.holds for each in report.portability.processors}
    assert held == {"x86_vnni": True, "x86_avx2": False, "arm": True}


@needs_processor
def test_a_winner_that_saturates_gives_way_to_its_variant_for_that_processor() -> None:
    world = World({"static_int8": INT8, FOR_AVX2: replace(INT8, speedup=2.1, size_bytes=7)}, saturates=saturating)
    report = search(world, processors=["x86_avx2"])
    assert (report.verdict, report.winner) == ("improved", FOR_AVX2)
    rejected = next(each for each in report.candidates if each.name == "static_int8")
    assert rejected.outcome == "infeasible"
    assert "not known to hold its accuracy on x86_avx2" in rejected.reason


def test_what_saturates_and_has_no_variant_gives_way_to_the_next() -> None:
    slower = {"dynamic_int8": Facts(speedup=1.5, size_bytes=2_000_000)}
    report = search(World({"static_int8": INT8} | slower, saturates=saturating), processors=["x86_avx2"])
    assert report.winner == "dynamic_int8"


def test_a_processor_that_holds_changes_nothing() -> None:
    report = search(World({"static_int8": INT8}, saturates=saturating), processors=["arm"])
    assert report.winner == "static_int8"


def test_what_cannot_be_worked_out_is_no_reason_to_reject() -> None:
    world = World({"static_int8": INT8}, broken=frozenset({"assess_portability"}))
    report = search(world, processors=["x86_avx2"])
    assert (report.winner, report.portability) == ("static_int8", None)


@needs_processor
def test_a_recipe_is_made_for_a_processor_where_something_in_it_depends_on_that() -> None:
    made = made_for([GraphOptimization(), StaticInt8()], "x86_avx2")
    assert made is not None
    assert made[1].model_dump()["processor"] == "x86_avx2"
    assert made_for([GraphOptimization()], "x86_avx2") is None
    assert made_for(made, "x86_avx2") is None
