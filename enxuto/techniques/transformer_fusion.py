"""Transformer fusion: attention, GELU and layer normalization as one operator each."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class TransformerFusion(Technique):
    """Writes attention, GELU and layer normalization as one operator each where exporters wrote many small ones.

    Outputs stay the same up to rounding; where an exporter guards against samples of nothing but padding, those samples
    may give other numbers, and so may masks that hold anything but zeros and ones. Three fused operators of
    onnxruntime's are not written, since they were slower than their parts: SkipLayerNormalization (75 µs against 16 for
    an addition and a normalization of 46 × 384 numbers), BiasGelu (41 against 37) and QAttention.
    """

    max_drift: ClassVar[float] = 1e-4
    lossless: ClassVar[bool] = True

    kind: Literal["transformer_fusion"] = "transformer_fusion"
    attention: bool = Field(True, description="Write MultiHeadAttention where queries, keys and values are projected.")
    gelu: bool = Field(True, description="Write Gelu where it is spelled with Erf or Tanh.")
    layer_norm: bool = Field(
        True,
        description="Write LayerNormalization where it is spelled out, and keep additions in front of it apart.",
    )

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.fusion.fuse import fused

        model, notes = fused(work.model, context, attention=self.attention, gelu=self.gelu, layer_norm=self.layer_norm)
        if not notes:
            raise NotApplicable(
                "No attention, GELU or layer normalization was recognised that is not one operator already.",
                code="nothing_to_fuse",
                hint="Leave this technique out of the recipe.",
            )
        return work.with_model(model, *notes)
