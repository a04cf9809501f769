"""Weight-only INT8 and INT4: small weights, computation in floating point."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class WeightOnly(Technique):
    """Stores weights in 8 or 4 bits and computes in floating point: the smallest file.

    Matrix products read small weights as they are, by a kernel of onnxruntime, which also saves time where batches are
    small. All other weights are restored when the model is loaded and are as fast as before.
    """

    max_drift: ClassVar[float] = 0.5

    kind: Literal["weight_only"] = "weight_only"
    bits: Literal[8, 4] = Field(8, description="Bits a weight.")
    block_size: Literal[16, 32, 64, 128, 256] = Field(
        32,
        description="Neighbouring weights that share a scale, in matrix products and wherever weights take 4 bits; "
        "other weights of 8 bits have a scale for each output channel.",
    )
    kernel: Literal["matmul_nbits", "standard"] = Field(
        "matmul_nbits",
        description="Whether matrix products use onnxruntime's MatMulNBits, or the file holds standard operators only "
        "and every weight is restored at load.",
    )

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized
        from enxuto.graph.traits import is_quantized
        from enxuto.quantization.weight_only import others, products

        model = normalized(work.model)
        if is_quantized(model):
            raise NotApplicable(
                "The model is quantized already.",
                code="already_quantized",
                hint="Start from the floating-point model.",
            )
        if not products(model) and not others(model):
            raise NotApplicable(
                "No weight of a convolution, matrix product, recurrent layer or embedding is float32 and large enough "
                "to be worth it.",
                code="nothing_to_quantize",
                hint="Leave this technique out of the recipe.",
            )

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.normalize import normalized
        from enxuto.graph.opset import with_opset
        from enxuto.quantization.weight_only import INT4_OPSET, store_small

        model, other_bits, notes = work.model, self.bits, []
        if self.bits == 4:
            try:
                model = with_opset(model, INT4_OPSET, context)
            except NotApplicable as reason:
                other_bits = 8
                notes.append(f"Weights that are restored at load take 8 bits: {reason.detail}")
        model = normalized(model)
        done = store_small(
            model, self.bits, self.block_size, fused=self.kernel == "matmul_nbits", other_bits=other_bits
        )  # fmt: skip
        if done.fused:
            notes.append(
                f"Matrix products that read weights of {self.bits} bits as they are, by onnxruntime's MatMulNBits: "
                f"{done.fused}."
            )
        if done.restored:
            notes.append(
                f"Weights stored in {other_bits} bits and restored to float32 at load, which makes the file smaller "
                f"but saves neither time nor memory: {done.restored}."
            )
        return work.with_model(model, *notes)
