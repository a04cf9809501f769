"""FP16 models lifted to FP32: where a processor has no kernels for FP16 it casts back and forth."""

from __future__ import annotations

from typing import ClassVar, Literal

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class SinglePrecision(Technique):
    """Computes in FP32 what the model computes in FP16, with weights as they are: a first step for all others.

    The file becomes larger. Inputs and outputs keep their types.
    """

    max_drift: ClassVar[float] = 0.02

    kind: Literal["single_precision"] = "single_precision"

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized
        from enxuto.quantization.half import computes_in_half

        if not computes_in_half(normalized(work.model)):
            raise NotApplicable(
                "No weight that a node computes with is float16.",
                code="no_float16_weights",
                hint="Leave this technique out of the recipe.",
            )

    def apply(self, work: Work, context: Context) -> Work:
        import onnx_ir as ir

        from enxuto.graph.float_type import change_float_type
        from enxuto.graph.normalize import keep_signature, normalized

        model = normalized(work.model)
        changed = change_float_type(model, ir.DataType.FLOAT16, ir.DataType.FLOAT)
        keep_signature(work.model, model)
        return work.with_model(model, f"Nodes that compute in float32 instead of float16: {changed.computing}.")
