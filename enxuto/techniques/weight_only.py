"""Weight-only INT8 and INT4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, NodeName, Technique, Work

if TYPE_CHECKING:
    from enxuto.quantization.weight_only import Stored, Way


class WeightOnly(Technique):
    """Stores weights in 8 or 4 bits and computes in floating point: the smallest file.

    Matrix products read small weights as they are, which also saves time where batches are small; embedding tables are
    looked up in few bits. All other weights are restored when the model is loaded and are as fast as before. OpenVINO
    reads every form and multiplies in integers by itself. Twice in a recipe, it stores in 8 bits what it left out in 4.
    """

    max_drift: ClassVar[float] = 0.5

    kind: Literal["weight_only"] = "weight_only"
    bits: Literal[8, 4] = Field(8, description="Bits a weight.")
    block_size: Literal[16, 32, 64, 128, 256] = Field(
        32,
        description="Neighbouring weights that share a scale, in matrix products and wherever weights take 4 bits; "
        "other weights of 8 bits have a scale for each output channel.",
    )
    symmetric: bool | None = Field(
        None,
        description="Whether all blocks have their zero in the middle. With a zero point of its own a block loses a "
        "little less and takes 4 or 8 bits more. null: as suits the method, which is true but for hqq.",
    )
    method: Literal["rtn", "hqq", "gptq"] = Field(
        "rtn",
        description="How weights are rounded: to nearest with the best of five clippings (rtn), by half-quadratic "
        "optimization without data (hqq), or column by column, making up for errors, which needs calibration data "
        "(gptq: matrix products only, other weights as with rtn).",
    )
    embeddings: Literal["as_weights", "int8", "float32"] = Field(
        "as_weights",
        description="Tables that rows are gathered from: in the same bits as weights, in int8 with a scale for each "
        "row, or as they are.",
    )
    kernel: Literal["matmul_nbits", "standard"] = Field(
        "matmul_nbits",
        description="Whether matrix products use onnxruntime's MatMulNBits and lookups its GatherBlockQuantized, both "
        "of which OpenVINO reads as well, or the file holds standard operators only and weights are restored at load, "
        "which OpenVINO undoes.",
    )
    exclude: list[NodeName] = Field(
        default_factory=list,
        max_length=4096,
        description="Nodes whose weights stay in floating point, by name or by operator type.",
    )

    @model_validator(mode="after")
    def _zero_points_are_what_hqq_finds(self) -> Self:
        if self.method == "hqq" and self.symmetric:
            raise ValueError("hqq finds zero points: it cannot be symmetric")
        return self

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized
        from enxuto.graph.traits import has_integer_operators, has_small_weights
        from enxuto.quantization.weight_only import others, products

        model = normalized(work.model)
        way = self._way(self.bits)
        nothing = not products(model, way) and (self.method == "gptq" or not others(model, way))
        if has_integer_operators(model) or (nothing and has_small_weights(model)):
            raise NotApplicable(
                "The model is quantized already.",
                code="already_quantized",
                hint="Start from the floating-point model.",
            )
        if nothing:
            what = (
                "matrix product"
                if self.method == "gptq"
                else "convolution, matrix product, recurrent layer or embedding"
            )
            raise NotApplicable(
                f"No weight of a {what} is float32, large enough to be worth it and not left out.",
                code="nothing_to_quantize",
                hint="Leave this technique out of the recipe.",
            )
        if self.method == "gptq" and (context.calibration is None or context.calibration.count == 0):
            raise NotApplicable(
                "GPTQ weighs errors by the inputs of each layer, and there are no samples to take them from.",
                code="calibration_data_missing",
                hint='Give a dataset for evaluation or calibration, or use the method "hqq", which needs none.',
            )

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.normalize import normalized
        from enxuto.graph.opset import with_opset
        from enxuto.quantization.hessians import hessians
        from enxuto.quantization.weight_only import INT4_OPSET, store_small, wants_int4

        model, other_bits, notes = normalized(work.model), self.bits, []
        if self.bits == 4 and wants_int4(model, self._way(4)):
            try:
                model = normalized(with_opset(work.model, INT4_OPSET, context))
            except NotApplicable as reason:
                other_bits = 8
                notes.append(f"Weights that are restored at load take 8 bits: {reason.detail}")
        way = self._way(other_bits)
        seen = model.clone()
        done = store_small(model, way, lambda widths: hessians(seen, widths, context))
        return work.with_model(model, *notes, *self._notes(done))

    def _way(self, other_bits: Literal[8, 4]) -> Way:
        from enxuto.quantization.weight_only import Way

        symmetric = self.method != "hqq" if self.symmetric is None else self.symmetric
        return Way(
            self.bits, other_bits, self.block_size, symmetric, self.method, self.embeddings,
            self.kernel == "matmul_nbits", frozenset(self.exclude),
        )  # fmt: skip

    def _notes(self, done: Stored) -> list[str]:
        notes = []
        if done.fused:
            notes.append(
                f"Matrix products that read weights of {self.bits} bits as they are, by onnxruntime's MatMulNBits: "
                f"{done.fused}."
            )
        if self.method == "gptq":
            notes.append(
                f"Matrix products rounded by GPTQ, with inputs as the floating-point model has them: "
                f"{done.compensated}."
            )
        if done.looked_up:
            notes.append(f"Lookups in tables of few bits: {done.looked_up}.")
        if done.restored:
            notes.append(
                f"Weights stored in {done.restored_bits} bits and restored to float32 at load, which makes the file "
                f"smaller but saves neither time nor memory in onnxruntime: {done.restored}."
            )
        return notes
