"""Which tensors of a model an INT8 method may want figures of, and in which form of the model they are looked for."""

from __future__ import annotations

import onnx_ir as ir

from enxuto.graph.opset import with_opset
from enxuto.graph.optimize import optimized
from enxuto.quantization.linear import linears
from enxuto.quantization.operators import data_inputs
from enxuto.quantization.placement import place
from enxuto.techniques.base import Context

OPERATORS = frozenset({"Conv", "Gemm", "MatMul"})
OPSET = 13
"""The first with a scale for each channel."""

Points = dict[str, int]
"""The axis that counts channels, by name of the tensor."""


def prepared(model: ir.Model, context: Context) -> ir.Model:
    """A copy in the form that is quantized: constants folded, batch norms merged, of a recent opset.

    A tensor that keeps its name keeps its values, so that figures of this form hold for the model itself as well.

    Raises:
        NotApplicable: an old opset that cannot be raised (``opset_too_old``).
    """
    return optimized(with_opset(model, OPSET, context))


def points_of(model: ir.Model) -> Points:
    """Inputs of convolutions and matrix products, what convolutions write, and what runs in integers between them."""
    found = list(linears(model.graph, OPERATORS))
    placement = place(model.graph, found)
    channel_axes = {str(tensor.name): -1 for tensor in placement.tensors}
    for linear in found:
        if linear.node.op_type == "Conv":
            touched = [*data_inputs(linear.node), *linear.node.outputs]
            channel_axes.update({str(value.name): 1 for value in touched if str(value.name) in channel_axes})
    return channel_axes
