"""What is worth knowing of a model and does no harm."""

from __future__ import annotations

from collections.abc import Iterator

from enxuto.errors import Finding
from enxuto.signature import ModelInspection

_PER_CHANNEL_OPSET = 13
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_PORTABLE = ("ai.onnx", "ai.onnx.ml")


def advice_on_model(model: ModelInspection) -> Iterator[Finding]:
    yield from _on_precision(model)
    yield from _on_opsets(model)
    yield from _on_values(model)


def _on_precision(model: ModelInspection) -> Iterator[Finding]:
    if model.quantized:
        yield Finding(
            code="already_quantized",
            detail="The model already computes in integers or stores quantized weights.",
            hint="It is not quantized again: fusions and the runtime are tried. The float model, where there is one, "
            "leaves more to gain.",
        )
    if model.precision in ("float16", "bfloat16"):
        yield Finding(
            code="half_precision_weights",
            detail=f"Most weights are stored in {model.precision}.",
            hint="On a processor without kernels for it, float32 may be faster.",
        )


def _on_opsets(model: ModelInspection) -> Iterator[Finding]:
    opset = model.opsets.get("ai.onnx", _PER_CHANNEL_OPSET)
    if opset < _PER_CHANNEL_OPSET and not model.quantized:
        yield Finding(
            code="old_opset",
            detail=f"Opset {opset}: weights can be quantized per channel from {_PER_CHANNEL_OPSET} on.",
            hint="Export with opset 17 or newer if a technique asks for it.",
        )
    foreign = sorted({name.rpartition("::")[0] for name in model.operators if "::" in name} - set(_PORTABLE))
    if foreign:
        yield Finding(
            code="non_standard_operators",
            detail=f"The model uses operators of the domains {', '.join(foreign)}.",
            hint="They load here; other runtimes may not know them.",
        )


def _on_values(model: ModelInspection) -> Iterator[Finding]:
    if chance := sorted(_RANDOM & set(model.operators)):
        yield Finding(
            code="random_outputs",
            detail=f"The model draws random numbers ({', '.join(chance)}): its outputs differ from run to run.",
            hint="What is said of its accuracy holds for one run only; export it without them to judge it.",
        )
    if other := [spec.name for spec in model.inputs if spec.dtype == "unknown"]:
        yield Finding(
            code="inputs_not_tensors",
            detail=f"The inputs {', '.join(other)} are no tensors.",
            hint="Datasets hold tensors only, so this model can be stored but not measured: export it with tensors.",
        )
    if text := [spec.name for spec in model.inputs if spec.dtype == "string"]:
        yield Finding(
            code="string_inputs",
            detail=f"The inputs {', '.join(text)} take text.",
            hint="Datasets hold no text, so this model can be stored but not measured.",
        )
    if other := [spec.name for spec in model.outputs if spec.dtype == "unknown"]:
        yield Finding(
            code="outputs_not_tensors",
            detail=f"The outputs {', '.join(other)} are no tensors and are left out when the model is judged.",
            hint="Export it with tensors as outputs; scikit-learn's classifiers do so with zipmap=False.",
        )
