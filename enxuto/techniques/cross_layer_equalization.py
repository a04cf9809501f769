"""Cross-layer equalization: weights of neighbouring layers in like ranges, outputs as they were."""

from __future__ import annotations

from typing import ClassVar, Literal

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class CrossLayerEqualization(Technique):
    """Bring weights of neighbouring layers to like ranges, channel by channel, before they are quantized.

    Outputs stay the same up to rounding. Batch norms are merged first. It helps weights that share one scale most;
    with a scale for each output channel there is less to gain.
    """

    max_drift: ClassVar[float] = 1e-3
    lossless: ClassVar[bool] = True

    kind: Literal["cross_layer_equalization"] = "cross_layer_equalization"

    def apply(self, work: Work, context: Context) -> Work:
        import onnx_ir.passes.common as passes

        from enxuto.graph.optimize import optimized
        from enxuto.quantization.cross_layer import equalize_weights

        model = optimized(work.model)
        done = equalize_weights(model)
        skipped = f"{done.skipped} more have an upper bound between them, as ReLU6 does, which lets no factor pass."
        if not done.sets:
            raise NotApplicable(
                f"No two layers follow each other with nothing between them that a factor cannot pass. {skipped}"
                if done.skipped
                else "No two layers follow each other with nothing between them that a factor cannot pass.",
                code="nothing_to_equalize",
                hint="Leave this technique out of the recipe.",
            )
        passes.RemoveUnusedNodesPass()(model)
        note = f"Places where channels were equalized: {done.sets}, in {done.rounds} rounds."
        return work.with_model(model, f"{note} {skipped}" if done.skipped else note)
