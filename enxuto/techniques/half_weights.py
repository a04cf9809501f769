"""FP16 and BF16 weights: half the bytes on disk, cast to float32 at load."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class HalfWeights(Technique):
    """Stores float32 weights in 16 bits. They are cast back when the model is loaded, so speed stays as it was."""

    max_drift: ClassVar[float] = 0.02

    kind: Literal["half_weights"] = "half_weights"
    dtype: Literal["float16", "bfloat16"] = Field(
        "float16",
        description="The 16-bit format: float16 keeps three digits and ends at 65,504, bfloat16 keeps two and the "
        "range of float32.",
    )

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized, opset_of
        from enxuto.quantization.half import SMALLEST_ELEMENTS, candidates

        if not candidates(normalized(work.model)):
            raise NotApplicable(
                f"No float32 weight has {SMALLEST_ELEMENTS} elements or more: there is nothing to store in 16 bits.",
                code="no_float32_weights",
                hint="Leave this technique out of the recipe.",
            )
        if self.dtype == "bfloat16" and opset_of(work.model) < 13:
            raise NotApplicable(
                f"The model's opset is {opset_of(work.model)}; casting from bfloat16 needs 13.",
                code="opset_too_old",
                hint="Use float16, or export the model with opset 13 or later.",
            )

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.normalize import normalized
        from enxuto.quantization.half import store_in_16_bits

        model = normalized(work.model)
        halved = store_in_16_bits(model, self.dtype)
        if not halved.stored:
            raise NotApplicable(
                f"Every weight has values beyond the range of {self.dtype}.",
                code="weights_out_of_range",
                hint="Use bfloat16, which has the range of float32.",
            )
        notes = [f"Weights stored in {self.dtype} and cast to float32 at load: {len(halved.stored)}."]
        if halved.too_large:
            notes.append(
                f"Weights that stay in float32, since their values are beyond {self.dtype}: {len(halved.too_large)} "
                f"({', '.join(halved.too_large[:5])})."
            )
        return work.with_model(model, *notes)
