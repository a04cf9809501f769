"""SmoothQuant: outliers of activations go into weights, before anything is quantized."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class SmoothQuant(Technique):
    """Divides activations that have outlier channels and multiplies the weights that read them, before INT8.

    Outputs stay the same up to rounding: the gain comes with the INT8 technique behind it in the recipe. Where only
    linears read a layer normalization it costs nothing at run time, elsewhere one multiplication.
    """

    max_drift: ClassVar[float] = 1e-4
    lossless: ClassVar[bool] = True
    needs_calibration: ClassVar[bool] = True

    kind: Literal["smooth_quant"] = "smooth_quant"
    alpha: float = Field(
        0.5, ge=0.0, le=1.0, description="How much goes from activations into weights: 0.5 shares it equally."
    )
    everywhere: bool = Field(
        False,
        description="Also smooth linears that read something else than a layer normalization, at the price of a "
        "multiplication each; wants an alpha of 0.75 or more.",
    )

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized
        from enxuto.quantization.smooth import OPERATORS, groups
        from enxuto.quantization.suitable import require_float_linears

        model = normalized(work.model)
        require_float_linears(model, OPERATORS)
        if not groups(model.graph, behind_norms_only=not self.everywhere):
            raise NotApplicable(
                "No matrix product with float32 weights reads what a layer normalization writes.",
                code="nothing_to_smooth",
                hint="Put transformer_fusion in front, which recognises normalizations that are spelled out.",
            )

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.normalize import normalized
        from enxuto.quantization.peaks import channel_peaks
        from enxuto.quantization.smooth import groups, smooth

        model = normalized(work.model)
        found = groups(model.graph, behind_norms_only=not self.everywhere)
        peaks = channel_peaks(model, [str(group.data.name) for group in found], work.statistics, context)
        folded, multiplied = smooth(model, found, peaks, self.alpha)
        return work.with_model(
            model,
            f"Inputs of linears smoothed: {folded} within the normalization in front, {multiplied} by a "
            "multiplication, since something else reads them too.",
        )
