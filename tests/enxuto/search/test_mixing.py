"""Layers are kept in floating point where that pays, by scores that answer other goals too."""

from __future__ import annotations

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal, MaxDrop
from enxuto.machine import this_machine
from enxuto.report import OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.steps import (
    ApplyRecipe,
    HostNoise,
    LayerSensitivity,
    MeasureSensitivity,
    ModelProfile,
    NodeProfile,
    ProfileModel,
)
from enxuto.techniques import StaticInt8, WeightOnly
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, a_dataset, a_model, digest

PLAIN = Workload(runtimes=["onnxruntime"])
LOSSY = Facts(speedup=3.0, size_bytes=1_000_000, drop=0.02, drop_spread=0.001)
KEPT = "static_int8(exclude=['conv2'])"
MIXED = Facts(speedup=2.8, size_bytes=1_100_000, drop=0.002, drop_spread=0.001)


def layer(name: str, noise: float) -> LayerSensitivity:
    return LayerSensitivity(name=name, operator="Conv", parameters=100, noise=noise, sqnr_db=20.0, bytes_saved=100)


LAYERS = [layer("conv1", 1e-5), layer("conv2", 1e-2), layer("conv3", 1e-5)]


def profile(**ms: float) -> ModelProfile:
    nodes = [
        NodeProfile(
            name=name, op_type="Conv", origin=[name], tensor=f"{name}_out", ms=took, output_bytes=None,
            moved_bytes=None, weight_bytes=None, operations=None, precision=None,
        )
        for name, took in ms.items()
    ]  # fmt: skip
    noise = HostNoise(load_1m=0.1, steal_share=0.0, pressure_share=0.0)
    return ModelProfile(call_ms=1.0, recorded_ms=1.0, calls=9, nodes=nodes, noise=noise, profile_file="p.json")


EVEN = {
    ORIGINAL: profile(conv1=1.0, conv2=1.0, conv3=1.0),
    digest("static_int8"): profile(conv1=0.3, conv2=0.3, conv3=0.3),
}


def ask(world: World, goal: Goal | None = None, earlier: OptimizeReport | None = None, workload: Workload = PLAIN):  # type: ignore[no-untyped-def]
    request = OptimizeOptions(goal=goal, workload=workload)
    plan = optimize(request, a_model(), a_dataset(), None, this_machine(), earlier)
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())


def a_world(**facts: Facts) -> World:
    return World({"static_int8": LOSSY, KEPT: MIXED} | facts, layers=LAYERS, profiles=dict(EVEN))


def test_the_layer_that_costs_the_accuracy_is_kept_in_floats_and_the_mixture_wins() -> None:
    world = a_world()
    report = ask(world)
    assert (report.verdict, report.winner) == ("improved", KEPT)
    assert [score.name for score in report.layers] == ["conv1", "conv2", "conv3"]
    assert report.layers[1].before_us == 1000.0
    assert report.layers[1].after_us == 300.0


def test_layers_are_scored_once_on_few_samples_by_what_was_calibrated() -> None:
    world = a_world()
    ask(world)
    [step] = [step for step in world.done if isinstance(step, MeasureSensitivity)]
    assert step.technique == StaticInt8()
    assert step.samples.stop - step.samples.start == 32
    assert step.statistics is not None


def test_a_layer_that_is_slower_in_integers_is_kept_in_floats_though_nothing_was_lost() -> None:
    slower = {ORIGINAL: profile(conv1=1.0, conv2=1.0, conv3=1.0),
              digest("static_int8"): profile(conv1=0.3, conv2=1.6, conv3=0.3)}  # fmt: skip
    faithful = Facts(speedup=2.0, size_bytes=1_000_000, drop=0.0)
    faster = Facts(speedup=2.5, size_bytes=1_100_000, drop=0.0)
    report = ask(World({"static_int8": faithful, KEPT: faster}, layers=LAYERS, profiles=slower))
    assert report.winner == KEPT
    assert [each.name for each in report.candidates if "exclude" in each.name] == [KEPT]


def test_nothing_is_mixed_where_nothing_was_lost_and_nothing_is_slower() -> None:
    world = World({"static_int8": Facts(speedup=2.0, size_bytes=5, drop=0.0)}, layers=LAYERS, profiles=dict(EVEN))
    report = ask(world)
    assert not any("exclude" in candidate.name for candidate in report.candidates)


def test_layers_are_not_scored_of_what_is_far_behind() -> None:
    world = a_world(graph_optimization=Facts(speedup=4.0, size_bytes=7, drop=0.0))
    world.recipes["static_int8"] = Facts(speedup=2.0, size_bytes=1_000_000, drop=0.009, drop_spread=0.001)
    assert ask(world).winner == "graph_optimization"
    assert "measure_sensitivity" not in world.kinds()


def test_a_mixture_is_tried_under_the_settings_of_what_leads() -> None:
    def under(facts: Facts, settings: RunSettings) -> Facts:
        if not isinstance(settings, OpenVinoSettings) or settings.precision != "f32":
            return facts
        return Facts(speedup=facts.speedup * 1.5, size_bytes=facts.size_bytes, drop=facts.drop)

    near = Facts(speedup=2.0, size_bytes=1_000_000, drop=0.008, drop_spread=0.001)
    world = World({"static_int8": near, KEPT: MIXED}, layers=LAYERS, profiles=dict(EVEN), under=under)
    report = ask(world, workload=Workload())
    assert any(candidate.name == f"{KEPT} @ openvino fixed shapes" for candidate in report.candidates)
    assert all(step.subject.settings == OnnxRuntimeSettings() for step in world.done if isinstance(step, ProfileModel))


SMALLEST = "weight_only(bits=4)"
MENDED = "weight_only(bits=4, exclude=['conv2']) → weight_only(kernel=standard)"
FEW_BITS = {
    SMALLEST: Facts(size_bytes=400, drop=0.02, drop_spread=0.001),
    "weight_only(kernel=standard)": Facts(size_bytes=700, drop=0.0),
    MENDED: Facts(size_bytes=420, drop=0.002, drop_spread=0.001),
}


def test_for_the_smallest_file_the_layer_that_loses_too_much_in_four_bits_takes_eight() -> None:
    world = World(FEW_BITS, layers=LAYERS)
    report = ask(world, Goal(minimize="size"))
    assert (report.verdict, report.winner) == ("improved", MENDED)
    [step] = [step for step in world.done if isinstance(step, MeasureSensitivity)]
    assert step.technique == WeightOnly(bits=4)


def test_a_file_in_four_bits_that_loses_too_little_to_notice_is_left_as_it_is() -> None:
    world = World(FEW_BITS | {SMALLEST: Facts(size_bytes=400, drop=0.001, drop_spread=0.001)}, layers=LAYERS)
    assert ask(world, Goal(minimize="size")).winner == SMALLEST
    assert "measure_sensitivity" not in world.kinds()


def test_of_files_in_four_bits_the_smallest_that_is_not_ruined_is_mended() -> None:
    finer = "weight_only(bits=4, block_size=16)"
    ruined = FEW_BITS | {
        SMALLEST: Facts(size_bytes=400, drop=0.9, drop_spread=0.001),
        finer: Facts(size_bytes=450, drop=0.015, drop_spread=0.001),
    }
    world = World(ruined, layers=LAYERS)
    ask(world, Goal(minimize="size"))
    [step] = [step for step in world.done if isinstance(step, MeasureSensitivity)]
    assert step.technique == WeightOnly(bits=4, block_size=16)


def test_scores_of_weights_in_four_bits_say_nothing_of_integers() -> None:
    earlier = ask(World(FEW_BITS | {"static_int8": LOSSY}, layers=LAYERS), Goal(minimize="size"))
    assert earlier.layers
    report = ask(a_world(), Goal(), earlier)
    assert not report.layers
    assert not any("static_int8(exclude" in candidate.name for candidate in report.candidates)


def test_another_goal_is_answered_from_the_scores_and_only_the_new_mixture_is_made() -> None:
    strict = Goal(max_drop=MaxDrop(value=0.05))
    earlier = ask(a_world(), strict)
    assert (earlier.winner, len(earlier.layers)) == ("static_int8", 3)
    world = a_world()
    report = ask(world, Goal(), earlier)
    assert (report.verdict, report.winner) == ("improved", KEPT)
    assert "measure_sensitivity" not in world.kinds()
    new = [step.recipe[0] for step in world.done if isinstance(step, ApplyRecipe) and step.recipe[0] != StaticInt8()]
    assert [technique.model_dump()["exclude"] for technique in new] == [["conv2"]] or KEPT in {
        candidate.name for candidate in earlier.candidates
    }
