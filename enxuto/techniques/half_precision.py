"""FP16 computing: half the bytes, and half the time where a runtime has kernels for it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class HalfPrecision(Technique):
    """Computes in FP16, with casts at inputs and outputs, which keep their types.

    Sums, exponentials and whatever the specification does not give in FP16 stay in FP32. OpenVINO needs no such model:
    the precision that it computes in is one of its settings.
    """

    max_drift: ClassVar[float] = 0.02

    kind: Literal["half_precision"] = "half_precision"
    dtype: Literal["float16"] = Field("float16", description="The 16-bit format; bfloat16 has no kernels anywhere.")
    require_kernels: bool = Field(
        True,
        description="Refuse where onnxruntime has no FP16 kernels for this model's convolutions and matrix products on "
        "this processor: it would cast them back to FP32 at every call, which is slower than FP32.",
    )

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized
        from enxuto.graph.traits import is_quantized
        from enxuto.quantization.half import candidates, computes_in_half, heavy_without_kernels

        model = normalized(work.model)
        if is_quantized(model):
            raise NotApplicable(
                "The model is quantized already.", code="already_quantized", hint="Start from the floating-point model."
            )
        if computes_in_half(model) and not candidates(model):
            raise NotApplicable(
                "The model computes in float16 already.",
                code="already_half_precision",
                hint="Leave this technique out of the recipe.",
            )
        if not candidates(model):
            raise NotApplicable(
                "The model has no float32 weights to speak of.",
                code="no_float32_weights",
                hint="Leave this technique out of the recipe.",
            )
        lacking = heavy_without_kernels(model) if self.require_kernels else []
        if lacking:
            raise NotApplicable(
                f"onnxruntime has no FP16 kernels for {', '.join(lacking)} on this processor and would cast to FP32 "
                "and back at every call.",
                code="no_half_kernels",
                hint='Use half_weights for a smaller file, or OpenVINO with the precision "bf16" or "f16" for speed.',
            )

    def apply(self, work: Work, context: Context) -> Work:
        import onnx_ir as ir

        from enxuto.graph.float_type import change_float_type
        from enxuto.graph.normalize import keep_signature, normalized
        from enxuto.quantization.half import OVERFLOWING

        model = normalized(work.model)
        changed = change_float_type(
            model, ir.DataType.FLOAT, ir.DataType.FLOAT16, lambda node: node.op_type in OVERFLOWING
        )
        keep_signature(work.model, model)
        notes = [f"Nodes that compute in float16: {changed.computing}."]
        if changed.kept:
            notes.append(f"Left in float32, since they overflow or have no such type: {', '.join(changed.kept)}.")
        return work.with_model(model, *notes)
