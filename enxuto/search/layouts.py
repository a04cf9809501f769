"""Integers laid out for the runtime that runs them: what is made for OpenVINO is looked at under OpenVINO alone.

A recipe with static INT8 makes one file for ONNX Runtime and, where that pays, another one for OpenVINO
(``enxuto/quantization/kernel_ends.py``). The first is fast under both where nothing but clipping and sums stands
behind convolutions: on such networks the second was 2 % faster at most, and slower than the original under ONNX
Runtime, by which somebody may run it all the same. So it is made for what ONNX Runtime has no integer kernel for:
other activations, transposed convolutions, and the product of queries and keys in attention, which brings up to
10 % under OpenVINO. Where attention is not one kernel there, both files are the same, and one candidate. What is told
from ONNX Runtime's arithmetic and times, such as what a layer costs or what another processor answers, is told of the
first, and holds for both.
"""

from __future__ import annotations

from collections.abc import Generator

from enxuto.errors import Finding
from enxuto.recipe import TriedRecipe, recipe_name
from enxuto.report import Candidate
from enxuto.search.candidates import made_of
from enxuto.search.plan import Reply, Task
from enxuto.search.trial import Trials
from enxuto.search.trying import apply
from enxuto.settings import RunSettings, RuntimeName
from enxuto.signature import ModelInspection
from enxuto.techniques import StaticInt8

_PAYS = frozenset(
    {
        "ConvTranspose",
        "Elu",
        "Erf",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Mish",
        "Sigmoid",
        "Softplus",
        "Tanh",
    }
)
"""Operators that OpenVINO's integer kernels compute as well, and those of ONNX Runtime do not."""
_FOR_OPENVINO = (
    "Its integers are laid out for OpenVINO: run it with the settings that are delivered with it, since under ONNX "
    "Runtime it may be slower than the original."
)


def laid_out(trials: Trials, recipe: TriedRecipe, runtime: RuntimeName) -> TriedRecipe:
    """The same recipe for this runtime's kernels; for those of ONNX Runtime, where that serves both."""
    alone = set(trials.request.workload.runtimes) == {runtime}
    layout = runtime if alone or _pays(trials.model.inspection) else "onnxruntime"
    return [
        technique.model_copy(update={"layout": layout}) if isinstance(technique, StaticInt8) else technique
        for technique in recipe
    ]


def _pays(inspection: ModelInspection) -> bool:
    """Whether OpenVINO has an integer kernel for an operator of the model that ONNX Runtime has none for."""
    return not _PAYS.isdisjoint(inspection.operators) or made_of(inspection).attention > 0


def lay_out(
    trials: Trials, base: Candidate, settings: RunSettings, fraction: float
) -> Generator[Task, Reply, Candidate]:
    """The candidate's recipe made for the runtime of these settings; the candidate itself where that changes nothing,
    or cannot be done.
    """
    recipe = laid_out(trials, base.recipe, settings.runtime)
    if recipe == base.recipe:
        return base
    made = yield from apply(trials, recipe, fraction)
    if isinstance(made, Finding) or (base.model and made[0].sha256 == base.model.sha256):
        return base
    model, notes = made
    notes = [*notes, _FOR_OPENVINO] if settings.runtime == "openvino" else notes
    return base.model_copy(update={"name": recipe_name(recipe), "recipe": recipe, "model": model, "notes": notes})


def in_usual_layout(trials: Trials, candidate: Candidate) -> Candidate:
    """The candidate that the same recipe makes for the usual runtime, where it is there; else the one given."""
    recipe = laid_out(trials, candidate.recipe, trials.usual.runtime)
    if recipe == candidate.recipe:
        return candidate
    alike = (each for each in trials.candidates if each.recipe == recipe and each.model is not None)
    return next(alike, candidate)
