"""Static INT8: weights and activations in 8 bits, ranges from calibration data."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.processor import Processor, processor_of
from enxuto.techniques.base import Context, NodeName, Technique, Work


class StaticInt8(Technique):
    """Weights and activations in 8 bits; activation ranges come from calibration data.

    Written as QuantizeLinear and DequantizeLinear pairs around convolutions, matrix products and what lies between
    them. Activations are U8 and weights S8 where the processor multiplies those fast (VNNI); on AVX2 without it weights
    are kept so small that no two products saturate; S8 for both on ARM. Batch norms are merged first.
    """

    max_drift: ClassVar[float] = 0.2
    needs_calibration: ClassVar[bool] = True

    kind: Literal["static_int8"] = "static_int8"
    calibration: Literal["minmax", "percentile", "entropy", "mse"] = Field(
        "minmax",
        description="How activation ranges are chosen: all values seen, the given share of them, the range whose "
        "quantized distribution is closest to the real one (Kullback-Leibler), or the one of least squared error.",
    )
    percentile: float = Field(
        99.99,
        ge=90,
        le=100,
        description="Share of values, in percent, inside the range; half of the rest is cut off at either end.",
    )
    per_channel: bool = Field(
        True, description="One scale for each output channel of a weight instead of one in all: more accurate."
    )
    rounding: Literal["squant", "nearest"] = Field(
        "squant",
        description="How weights become integers: so that the errors of each kernel and each output channel cancel "
        "(SQuant), or each to the nearest.",
    )
    bias_correction: bool = Field(
        True, description="Take back through the bias what rounding the weights moves the mean of each output by."
    )
    equalization: bool = Field(
        True,
        description="Scale channels of activations to like ranges before they share a step, and scale back in the "
        "weights that read them.",
    )
    float_stem: bool = Field(
        False,
        description="Leave convolutions that read fewer than four channels in floating point, where integer kernels "
        "gain nothing.",
    )
    embeddings: bool = Field(
        True, description="Store tables that rows are gathered from in int8 too, with a scale for each row."
    )
    recurrent: bool = Field(
        False,
        description="Also compute LSTM layers in integers, quantized at run time as dynamic_int8 does it, by an "
        "operator of onnxruntime's own. OpenVINO reads it too, but for layers with peepholes.",
    )
    layout: Literal["onnxruntime", "openvino"] = Field(
        "onnxruntime",
        description="Whose kernels integers are laid out for. Convolutions of onnxruntime write integers, which "
        "activations then read; those of OpenVINO go on in floats through an activation and a sum, and round once "
        "behind them: more exact, and faster there with activations other than ReLU, but slow under onnxruntime. "
        "OpenVINO's attention, where the processor has VNNI, also multiplies queries and keys as integers.",
    )
    exclude: list[NodeName] = Field(
        default=[], max_length=1000, description="Names of nodes, or operator types, that stay in floating point."
    )

    processor: Processor | None = Field(
        None, description="What integers are laid out for; null: the processor that the job names, else this machine's."
    )

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized
        from enxuto.quantization.points import OPERATORS
        from enxuto.quantization.recurrent import lstms
        from enxuto.quantization.suitable import require_float_linears
        from enxuto.quantization.transposed import transposed_elements

        model = normalized(work.model)
        layers = lstms(model.graph) if self.recurrent else []
        others = transposed_elements(model.graph) + sum(layer.elements for layer in layers)
        require_float_linears(model, OPERATORS, others)

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.quantization.range_choice import RangeChoice
        from enxuto.quantization.static import Options, quantize_static
        from enxuto.quantization.statistics import Statistics

        options = Options(
            ranges=RangeChoice(self.calibration, self.percentile),
            per_channel=self.per_channel,
            rounding=self.rounding,
            bias_correction=self.bias_correction,
            equalization=self.equalization,
            float_stem=self.float_stem,
            embeddings=self.embeddings,
            recurrent=self.recurrent,
            layout=self.layout,
            processor=self.processor or processor_of(context.instruction_sets),
            exclude=frozenset(self.exclude),
        )
        seen = Statistics.read(work.statistics) if work.statistics else None
        done = quantize_static(work.model, seen, options, context)
        return work.with_model(done.model, *done.notes)
