"""Which run settings are worth a try on what the search has found so far: a few, the most promising first.

A setting is tried where it can pay. Early, before anything is timed: another runtime for every file, since which one
is faster differs from file to file, and bfloat16 where the processor has it and the model computes in floating point.
OpenVINO compiles a model with free axes for the workload's shapes, where those stay the same: that took a sixth off a
call of a small convolutional network, a fifth off a small transformer's, and never added anything. ONNX Runtime is not
told of fixed axes: its fusions of attention were lost by it, and calls took 1.4 to 6 times as long. Late, on what
leads: fewer or sleeping threads where there are several, branches at the same time where the graph has them, no arena
where memory is what counts. Lower graph levels are not tried: on four convolutional networks they took 1.6 to 2 times
as long, and as long on others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from enxuto.goal import Goal
from enxuto.machine import Machine
from enxuto.recipe import TriedRecipe
from enxuto.search.candidates import made_of
from enxuto.search.choose import AT
from enxuto.settings import DEFAULT_SETTINGS, OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.signature import ModelInspection, has_free_axes
from enxuto.techniques import DynamicInt8, StaticInt8, WeightOnly
from enxuto.workload import Workload

MOST_VARIANTS = 6
"""On what leads. Each costs an evaluation and its share of the timing."""
MOST_ON_OTHER_RUNTIMES = 10
"""Likewise, of files that nothing is known of but what they lose."""
_CHANGES_RESULTS = ("precision", "dynamic_quantization", "fixed_shapes")
"""Of OpenVINO's settings. Fixed shapes may bring other kernels, which add up in another order."""
BASES = 2
"""Candidates that are tried under other settings, beside the original."""


@dataclass(frozen=True)
class Variant:
    """One of the models found so far, under other settings than the usual ones."""

    base: int
    """Position among the bases."""
    settings: RunSettings


@dataclass(frozen=True)
class Base:
    """What variants are made of."""

    recipe: TriedRecipe
    """That it was made by; an empty one is the original."""
    settings: RunSettings


def on_other_runtimes(
    recipes: Sequence[TriedRecipe], inspection: ModelInspection, goal: Goal, workload: Workload, machine: Machine
) -> list[Variant]:
    """Files under other runtimes than the usual one, and computing in bfloat16; the last recipe is the original's."""
    if goal.objective == "memory" or (goal.objective == "size" and goal.p95_ms is None):
        return []  # no setting makes a file smaller, and memory is looked at late
    return list(islice(_on_other_runtimes(recipes, inspection, workload, machine), MOST_ON_OTHER_RUNTIMES))


def propose_variants(
    bases: Sequence[Base], inspection: ModelInspection, goal: Goal, workload: Workload
) -> list[Variant]:
    """Variants of the bases, which stand best first."""
    if goal.objective == "size" and goal.p95_ms is None:
        return []
    by_memory = goal.objective == "memory"
    proposed = _by_memory(bases, inspection, workload) if by_memory else _by_speed(bases, inspection, workload)
    new = (each for each in proposed if Base(bases[each.base].recipe, each.settings) not in bases)
    return list(islice(new, MOST_VARIANTS))


def changes_results(settings: RunSettings, usual: RunSettings) -> bool:
    """Whether a model may answer otherwise than under the usual settings: another runtime, precision or graph."""
    if isinstance(settings, OnnxRuntimeSettings) and isinstance(usual, OnnxRuntimeSettings):
        return (settings.graph_level, settings.denormals_as_zero) != (usual.graph_level, usual.denormals_as_zero)
    if isinstance(settings, OpenVinoSettings) and isinstance(usual, OpenVinoSettings):
        return any(getattr(settings, name) != getattr(usual, name) for name in _CHANGES_RESULTS)
    return True


def variant_name(base: str, settings: RunSettings, usual: RunSettings) -> str:
    """``static_int8 @ openvino``, ``original @ openvino bf16``, ``static_int8 @ no spinning``."""
    words: list[str] = [settings.runtime] if settings.runtime != usual.runtime else []
    default = DEFAULT_SETTINGS[settings.runtime]
    for name, value in settings:
        if name != "runtime" and value != getattr(default, name):
            words.append(_words(name, value))
    return f"{base} {AT} {' '.join(words)}"


def _on_other_runtimes(
    recipes: Sequence[TriedRecipe], inspection: ModelInspection, workload: Workload, machine: Machine
) -> Iterator[Variant]:
    original, by_products = len(recipes) - 1, made_of(inspection).by_products
    openvino = OpenVinoSettings(fixed_shapes=_may_fix_shapes(inspection, workload))
    yield from (Variant(original, settings) for settings in _others(inspection, workload))
    in_bfloat16 = openvino.model_copy(update={"precision": "bf16"})
    bfloat16 = "openvino" in workload.runtimes and machine.has_bfloat16
    if bfloat16 and _computes_in_floats(recipes[original], inspection):
        yield Variant(original, in_bfloat16)
    computing = [position for position, recipe in enumerate(recipes) if _computes_otherwise(recipe, by_products)]
    static = [position for position in computing if _has_fixed_ranges(recipes[position])]
    dynamic = [position for position in computing if position not in static]
    yield from (Variant(position, settings) for settings in _others(inspection, workload) for position in static)
    if by_products and bfloat16:  # what lies between the products stays in floats
        yield from (Variant(position, in_bfloat16) for position in static[:2])
    yield from (Variant(position, settings) for settings in _others(inspection, workload) for position in dynamic)
    compressed = [position for position in computing if _has_compressed_weights(recipes[position])]
    if by_products and bfloat16:
        yield from (Variant(position, in_bfloat16) for position in compressed[:1])
    if by_products and "openvino" in workload.runtimes:
        quantizing = openvino.model_copy(update={"dynamic_quantization": True})
        yield from (Variant(position, quantizing) for position in compressed[:1])


def _computes_otherwise(recipe: TriedRecipe, by_products: bool) -> bool:
    """Whether a runtime does other work on the file than on the original; weights that are restored when a model is
    loaded leave it as it was.
    """
    compressed = by_products and _has_compressed_weights(recipe)
    return compressed or any(isinstance(each, StaticInt8 | DynamicInt8) for each in recipe)


def _has_fixed_ranges(recipe: TriedRecipe) -> bool:
    """Which is what OpenVINO has integer kernels for: they come first."""
    return any(isinstance(each, StaticInt8) for each in recipe)


def _has_compressed_weights(recipe: TriedRecipe) -> bool:
    return any(isinstance(each, WeightOnly) for each in recipe)


def _others(inspection: ModelInspection, workload: Workload) -> list[RunSettings]:
    others = [DEFAULT_SETTINGS[name] for name in dict.fromkeys(workload.runtimes) if name != workload.runtimes[0]]
    return [_fixed(settings) if _may_fix_shapes(inspection, workload) else settings for settings in others]


def _may_fix_shapes(inspection: ModelInspection, workload: Workload) -> bool:
    return workload.fixed_shapes and has_free_axes(inspection.inputs)


def _fixed(settings: RunSettings) -> RunSettings:
    return settings.model_copy(update={"fixed_shapes": True}) if isinstance(settings, OpenVinoSettings) else settings


def _by_speed(bases: Sequence[Base], inspection: ModelInspection, workload: Workload) -> Iterator[Variant]:
    if _may_fix_shapes(inspection, workload):  # where OpenVINO is the usual runtime, this was not tried early
        yield from (Variant(position, _fixed(base.settings)) for position, base in enumerate(bases))
    settings = bases[0].settings
    if workload.threads > 1:
        yield Variant(0, settings.model_copy(update={"threads": workload.threads // 2}))
    if workload.threads > 1 and isinstance(settings, OnnxRuntimeSettings):
        yield Variant(0, settings.model_copy(update={"spinning": False}))
        if inspection.branches:
            yield Variant(0, settings.model_copy(update={"execution_mode": "parallel", "inter_op_threads": 2}))


def _by_memory(bases: Sequence[Base], inspection: ModelInspection, workload: Workload) -> Iterator[Variant]:
    if workload.runtimes[0] == "onnxruntime":
        yield from (Variant(position, OnnxRuntimeSettings(arena=False)) for position in range(len(bases)))
    yield from (Variant(0, settings) for settings in _others(inspection, workload))


def _computes_in_floats(recipe: TriedRecipe, inspection: ModelInspection) -> bool:
    return not inspection.quantized and not any(isinstance(each, StaticInt8 | DynamicInt8) for each in recipe)


def _words(name: str, value: str | bool | int) -> str:
    match name, value:
        case "threads", 1:
            return "one thread"
        case "threads" | "streams", _:
            return f"{value} {name}"
        case "inter_op_threads", _:
            return f"{value} branches"
        case _, True:
            return name.replace("_", " ")
        case _, False:
            return f"no {name.replace('_', ' ')}"
        case "graph_level", _:
            return f"{value} graph"
    return str(value)
