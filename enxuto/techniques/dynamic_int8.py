"""Dynamic INT8: weights in 8 bits, activations quantized as they come."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.processor import Processor, processor_of
from enxuto.techniques.base import Context, NodeName, Technique, Work


class DynamicInt8(Technique):
    """Weights of matrix products and LSTM layers in 8 bits, activations quantized at run time; needs no calibration
    data.

    Convolutions stay in floating point: their dynamic kernels are several times slower. GRU and plain recurrent layers
    have none. Embedding tables are stored in 8 bits as well.
    """

    max_drift: ClassVar[float] = 0.2

    kind: Literal["dynamic_int8"] = "dynamic_int8"
    per_channel: bool = Field(
        True,
        description="One scale for each output column of a weight instead of one in all; in LSTM layers instead of one "
        "for each direction, which their kernel computes faster with.",
    )
    embeddings: bool = Field(
        True, description="Store tables that rows are gathered from in int8 too, with a scale for each row."
    )
    exclude: list[NodeName] = Field(
        default=[], max_length=1000, description="Names of nodes, or operator types, that stay in floating point."
    )
    processor: Processor | None = Field(
        None, description="What integers are laid out for; null: the processor that the job names, else this machine's."
    )

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized
        from enxuto.quantization.dynamic import OPERATORS
        from enxuto.quantization.recurrent import lstms
        from enxuto.quantization.suitable import require_float_linears

        model = normalized(work.model)
        require_float_linears(model, OPERATORS, sum(layer.elements for layer in lstms(model.graph)))

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.normalize import normalized
        from enxuto.graph.opset import with_opset
        from enxuto.quantization.dynamic import OPSET, quantize_dynamic
        from enxuto.quantization.processors import weight_limit

        model = normalized(with_opset(work.model, OPSET, context))
        notes = quantize_dynamic(
            model,
            per_channel=self.per_channel,
            embeddings=self.embeddings,
            weight_limit=weight_limit(self.processor or processor_of(context.instruction_sets)),
            exclude=frozenset(self.exclude),
        )
        return work.with_model(model, *notes)
