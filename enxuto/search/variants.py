"""Which run settings are worth a try on what the search has found so far: a few, the most promising first.

A setting is tried where it can pay: another runtime for the original and what came out best, bfloat16 where the
processor has it and the model computes in floating point, fewer or sleeping threads where there are several, branches
at the same time where the graph has them, no arena where memory is what counts. Lower graph levels are not tried: on
four convolutional networks they took 1.6 to 2 times as long, and as long on others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from enxuto.goal import Goal
from enxuto.machine import Machine
from enxuto.recipe import TriedRecipe
from enxuto.search.choose import AT
from enxuto.settings import DEFAULT_SETTINGS, OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.signature import ModelInspection
from enxuto.techniques import DynamicInt8, StaticInt8
from enxuto.workload import Workload

MOST_VARIANTS = 6
"""Each costs an evaluation and its share of the timing."""
BASES = 2
"""Candidates that are tried under other settings, beside the original."""


@dataclass(frozen=True)
class Variant:
    """One of the models found so far, under other settings than the usual ones."""

    base: int
    """Position among the bases."""
    settings: RunSettings


def propose_variants(
    bases: Sequence[TriedRecipe], inspection: ModelInspection, goal: Goal, workload: Workload, machine: Machine
) -> list[Variant]:
    """Variants of the bases, which stand best first and are the recipes that they were made by; an empty recipe is the
    original.
    """
    if goal.objective == "size" and goal.p95_ms is None:
        return []  # no setting makes a file smaller
    proposed = (
        _by_memory(bases, workload) if goal.objective == "memory" else _by_speed(bases, inspection, workload, machine)
    )
    return list(islice(proposed, MOST_VARIANTS))


def changes_results(settings: RunSettings, usual: RunSettings) -> bool:
    """Whether a model may answer otherwise than under the usual settings: another runtime, precision or graph."""
    if isinstance(settings, OnnxRuntimeSettings) and isinstance(usual, OnnxRuntimeSettings):
        return (settings.graph_level, settings.denormals_as_zero) != (usual.graph_level, usual.denormals_as_zero)
    if isinstance(settings, OpenVinoSettings) and isinstance(usual, OpenVinoSettings):
        same = settings.precision == usual.precision
        return not same or settings.dynamic_quantization != usual.dynamic_quantization
    return True


def variant_name(base: str, settings: RunSettings, usual: RunSettings) -> str:
    """``static_int8 @ openvino``, ``original @ openvino bf16``, ``static_int8 @ no spinning``."""
    words: list[str] = [settings.runtime] if settings.runtime != usual.runtime else []
    default = DEFAULT_SETTINGS[settings.runtime]
    for name, value in settings:
        if name != "runtime" and value != getattr(default, name):
            words.append(_words(name, value))
    return f"{base} {AT} {' '.join(words)}"


def _by_speed(
    bases: Sequence[TriedRecipe], inspection: ModelInspection, workload: Workload, machine: Machine
) -> Iterator[Variant]:
    positions = range(len(bases))
    others = [DEFAULT_SETTINGS[name] for name in dict.fromkeys(workload.runtimes) if name != workload.runtimes[0]]
    yield from (Variant(position, settings) for settings in others for position in positions)
    if "openvino" in workload.runtimes and machine.has_bfloat16:
        floating = [position for position in positions if _computes_in_floats(bases[position], inspection)]
        yield from (Variant(position, OpenVinoSettings(precision="bf16")) for position in floating[-1:])
    usual = workload.runtimes[0]
    if workload.threads > 1:
        yield Variant(0, DEFAULT_SETTINGS[usual].model_copy(update={"threads": workload.threads // 2}))
    if workload.threads > 1 and usual == "onnxruntime":
        yield Variant(0, OnnxRuntimeSettings(spinning=False))
        if inspection.branches:
            yield Variant(0, OnnxRuntimeSettings(execution_mode="parallel", inter_op_threads=2))


def _by_memory(bases: Sequence[TriedRecipe], workload: Workload) -> Iterator[Variant]:
    if workload.runtimes[0] == "onnxruntime":
        yield from (Variant(position, OnnxRuntimeSettings(arena=False)) for position in range(len(bases)))
    others = [DEFAULT_SETTINGS[name] for name in dict.fromkeys(workload.runtimes) if name != workload.runtimes[0]]
    yield from (Variant(0, settings) for settings in others)


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
