"""Which settings are tried on what: few, and only where they can pay."""

from __future__ import annotations

import pytest

from enxuto.goal import Goal
from enxuto.machine import Machine, this_machine
from enxuto.recipe import TriedRecipe
from enxuto.search.variants import MOST_VARIANTS, changes_results, propose_variants, variant_name
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.techniques import HalfWeights, StaticInt8
from enxuto.workload import Workload
from tests.support.simulated_world import a_model

PLAIN, WITH_BFLOAT16 = (
    this_machine().model_copy(update={"instruction_sets": sets}) for sets in (["avx2"], ["avx2", "avx512_bf16"])
)
INT8, HALF, ORIGINAL = [StaticInt8()], [HalfWeights()], list[StaticInt8]()
USUAL = OnnxRuntimeSettings()


def named(
    bases: dict[str, TriedRecipe],
    *,
    goal: Goal | None = None,
    workload: Workload | None = None,
    machine: Machine = PLAIN,
    branches: bool = False,
) -> list[str]:
    inspection = a_model(branches=branches).inspection
    workload = workload or Workload()
    usual: RunSettings = OpenVinoSettings() if workload.runtimes[0] == "openvino" else USUAL
    found = propose_variants(list(bases.values()), inspection, goal or Goal(), workload, machine)
    return [variant_name(list(bases)[each.base], each.settings, usual) for each in found]


def test_each_base_is_tried_on_the_other_runtime() -> None:
    assert named({"int8": INT8, "original": ORIGINAL}) == ["int8 @ openvino", "original @ openvino"]
    swapped = Workload(runtimes=["openvino", "onnxruntime"])
    assert named({"original": ORIGINAL}, workload=swapped) == ["original @ onnxruntime"]


def test_a_runtime_that_is_not_allowed_is_not_tried() -> None:
    for machine in (PLAIN, WITH_BFLOAT16):
        assert named({"original": ORIGINAL}, workload=Workload(runtimes=["onnxruntime"]), machine=machine) == []


def test_bfloat16_is_tried_where_the_processor_has_it_on_what_computes_in_floats() -> None:
    bases = {"int8": INT8, "original": ORIGINAL}
    assert named(bases, machine=WITH_BFLOAT16)[-1] == "original @ openvino bf16"
    assert named({"int8": INT8}, machine=WITH_BFLOAT16) == ["int8 @ openvino"]


def test_threads_and_what_they_do_while_waiting_are_tried_only_where_there_are_several() -> None:
    two = Workload(threads=2, runtimes=["onnxruntime"])
    assert named({"int8": INT8, "original": ORIGINAL}, workload=two) == ["int8 @ one thread", "int8 @ no spinning"]
    assert named({"int8": INT8}, workload=two, branches=True)[-1] == "int8 @ parallel 2 branches"
    assert named({"int8": INT8}, workload=Workload(runtimes=["onnxruntime"]), branches=True) == []


def test_the_arena_is_left_out_only_where_memory_is_what_counts() -> None:
    assert named({"int8": INT8, "original": ORIGINAL}, goal=Goal(minimize="memory")) == [
        "int8 @ no arena", "original @ no arena", "int8 @ openvino",
    ]  # fmt: skip


def test_no_setting_makes_a_file_smaller() -> None:
    assert named({"int8": INT8, "original": ORIGINAL}, goal=Goal(minimize="size")) == []
    assert named({"int8": INT8}, goal=Goal(minimize="size", p95_ms=5.0)) == ["int8 @ openvino"]


def test_there_are_never_many() -> None:
    bases = {"int8": INT8, "half": HALF, "original": ORIGINAL}
    found = named(bases, workload=Workload(threads=8), machine=WITH_BFLOAT16, branches=True)
    assert len(found) == len(set(found)) == MOST_VARIANTS


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (OnnxRuntimeSettings(spinning=False, arena=False, threads=1), False),
        (OnnxRuntimeSettings(execution_mode="parallel", inter_op_threads=2), False),
        (OnnxRuntimeSettings(graph_level="basic"), True),
        (OnnxRuntimeSettings(denormals_as_zero=True), True),
        (OpenVinoSettings(), True),
    ],
)
def test_settings_that_can_change_an_answer_are_known(settings: RunSettings, changes: bool) -> None:
    assert changes_results(settings, USUAL) is changes


def test_precision_changes_answers_within_a_runtime_too() -> None:
    assert changes_results(OpenVinoSettings(precision="bf16"), OpenVinoSettings())
    assert not changes_results(OpenVinoSettings(streams=2), OpenVinoSettings())
