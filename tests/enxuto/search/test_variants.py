"""Which settings are tried on what: few, and only where they can pay."""

from __future__ import annotations

import pytest

from enxuto.goal import Goal
from enxuto.machine import Machine, this_machine
from enxuto.recipe import TriedRecipe
from enxuto.search.variants import (
    MOST_ON_OTHER_RUNTIMES,
    Base,
    changes_results,
    on_other_runtimes,
    propose_variants,
    variant_name,
)
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.signature import TensorSpec
from enxuto.techniques import DynamicInt8, HalfWeights, StaticInt8, WeightOnly
from enxuto.workload import Workload
from tests.support.simulated_world import a_model

PLAIN, WITH_BFLOAT16 = (
    this_machine().model_copy(update={"instruction_sets": sets}) for sets in (["avx2"], ["avx2", "avx512_bf16"])
)
INT8: TriedRecipe = [StaticInt8()]
ORIGINAL: TriedRecipe = []
USUAL = OnnxRuntimeSettings()


def early(
    recipes: dict[str, TriedRecipe],
    *,
    goal: Goal | None = None,
    workload: Workload | None = None,
    machine: Machine = PLAIN,
    **changes: object,
) -> list[str]:
    """What every file is tried under before anything is timed; the last one is the original."""
    workload = workload or Workload()
    found = on_other_runtimes(list(recipes.values()), a_model(**changes).inspection, goal or Goal(), workload, machine)
    return [variant_name(list(recipes)[each.base], each.settings, _usual(workload)) for each in found]


def late(
    bases: dict[str, TriedRecipe],
    *,
    settings: RunSettings = USUAL,
    goal: Goal | None = None,
    workload: Workload | None = None,
    branches: bool = False,
) -> list[str]:
    """What leads is tried under, the best first; all but the original run under these settings."""
    workload = workload or Workload()
    inspection = a_model(branches=branches).inspection
    given = [Base(recipe, settings if recipe else _usual(workload)) for recipe in bases.values()]
    found = propose_variants(given, inspection, goal or Goal(), workload)
    return [variant_name(list(bases)[each.base], each.settings, _usual(workload)) for each in found]


def _usual(workload: Workload) -> RunSettings:
    return OpenVinoSettings() if workload.runtimes[0] == "openvino" else USUAL


def test_every_file_is_tried_on_the_other_runtime_the_original_first() -> None:
    assert early({"int8": INT8, "original": ORIGINAL}) == [
        "original @ openvino fixed shapes",
        "int8 @ openvino fixed shapes",
    ]
    swapped = Workload(runtimes=["openvino", "onnxruntime"])
    assert early({"original": ORIGINAL}, workload=swapped) == ["original @ onnxruntime"]


def test_a_model_is_compiled_for_shapes_that_stay_the_same_and_are_not_fixed_by_the_file() -> None:
    changing = Workload(fixed_shapes=False)
    assert early({"original": ORIGINAL}, workload=changing) == ["original @ openvino"]
    fixed = [TensorSpec(name="input", dtype="float32", shape=[1, 4])]
    assert early({"original": ORIGINAL}, inputs=fixed) == ["original @ openvino"]


def test_where_openvino_is_the_usual_runtime_what_leads_is_compiled_for_its_shapes_late() -> None:
    bases, only = {"int8": INT8, "original": ORIGINAL}, Workload(runtimes=["openvino"])
    found = late(bases, settings=OpenVinoSettings(), workload=only)
    assert found == ["int8 @ fixed shapes", "original @ fixed shapes"]
    assert late(bases, settings=OpenVinoSettings(), workload=only.model_copy(update={"fixed_shapes": False})) == []


def test_a_runtime_that_is_not_allowed_is_not_tried() -> None:
    only = Workload(runtimes=["onnxruntime"])
    for machine in (PLAIN, WITH_BFLOAT16):
        assert early({"original": ORIGINAL}, workload=only, machine=machine) == []
    assert late({"int8": INT8, "original": ORIGINAL}, workload=only) == []


def test_bfloat16_is_tried_where_the_processor_has_it_on_what_computes_in_floats() -> None:
    bases = {"int8": INT8, "original": ORIGINAL}
    assert "original @ openvino bf16 fixed shapes" in early(bases, machine=WITH_BFLOAT16)
    assert early({"original": ORIGINAL}, machine=PLAIN) == ["original @ openvino fixed shapes"]


def test_bfloat16_is_tried_on_integers_too_where_what_lies_between_products_stays_in_floats() -> None:
    bases = {"int8": INT8, "original": ORIGINAL}
    assert "int8 @ openvino bf16 fixed shapes" in early(bases, machine=WITH_BFLOAT16)
    assert "int8 @ openvino bf16 fixed shapes" not in early(
        bases, machine=WITH_BFLOAT16, operators={"Conv": 19, "Gemm": 1}
    )


def test_ranges_that_are_fixed_come_before_others_in_either_precision() -> None:
    bases: dict[str, TriedRecipe] = {"dynamic": [DynamicInt8()], "int8": INT8, "original": ORIGINAL}
    assert early(bases, machine=WITH_BFLOAT16) == [
        "original @ openvino fixed shapes",
        "original @ openvino bf16 fixed shapes",
        "int8 @ openvino fixed shapes",
        "int8 @ openvino bf16 fixed shapes",
        "dynamic @ openvino fixed shapes",
    ]


def test_a_file_whose_weights_are_restored_at_load_is_not_tried_on_another_runtime() -> None:
    half: TriedRecipe = [HalfWeights()]
    assert early({"half": half, "original": ORIGINAL}) == ["original @ openvino fixed shapes"]
    compressed: TriedRecipe = [WeightOnly()]
    assert early({"int8": compressed, "original": ORIGINAL}, operators={"Conv": 9}) == [
        "original @ openvino fixed shapes"
    ]


def test_compressed_weights_are_tried_with_inputs_quantized_on_the_way() -> None:
    compressed: TriedRecipe = [WeightOnly(bits=4)]
    assert early({"int4": compressed, "original": ORIGINAL})[-1] == "int4 @ openvino dynamic quantization fixed shapes"


def test_threads_and_what_they_do_while_waiting_are_tried_only_where_there_are_several() -> None:
    two = Workload(threads=2, runtimes=["onnxruntime"])
    assert late({"int8": INT8, "original": ORIGINAL}, workload=two) == ["int8 @ one thread", "int8 @ no spinning"]
    assert late({"int8": INT8}, workload=two, branches=True)[-1] == "int8 @ parallel 2 branches"
    assert late({"int8": INT8}, workload=Workload(runtimes=["onnxruntime"]), branches=True) == []


def test_the_arena_is_left_out_only_where_memory_is_what_counts() -> None:
    assert late({"int8": INT8, "original": ORIGINAL}, goal=Goal(minimize="memory")) == [
        "int8 @ no arena", "original @ no arena", "int8 @ openvino fixed shapes",
    ]  # fmt: skip


def test_no_setting_makes_a_file_smaller() -> None:
    bases = {"int8": INT8, "original": ORIGINAL}
    size = Goal(minimize="size")
    assert early(bases, goal=size) == late(bases, goal=size, workload=Workload(threads=2)) == []
    assert "int8 @ openvino fixed shapes" in early(bases, goal=Goal(minimize="size", p95_ms=5.0))


def test_there_are_never_many() -> None:
    files: dict[str, TriedRecipe] = {f"int8 {position}": INT8 for position in range(20)}
    found = early(files | {"original": ORIGINAL}, machine=WITH_BFLOAT16)
    assert len(found) == len(set(found)) == MOST_ON_OTHER_RUNTIMES
    assert found[:2] == ["original @ openvino fixed shapes", "original @ openvino bf16 fixed shapes"]


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
    assert changes_results(OpenVinoSettings(fixed_shapes=True), OpenVinoSettings())
    assert not changes_results(OpenVinoSettings(streams=2), OpenVinoSettings())
