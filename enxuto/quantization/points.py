"""Which tensors of a model an INT8 method may want figures of, and in which form of the model they are looked for."""

from __future__ import annotations

from itertools import chain
from typing import get_args

import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.opset import with_opset
from enxuto.graph.optimize import optimized
from enxuto.quantization.kernel_ends import Layout
from enxuto.quantization.linear import linears
from enxuto.quantization.operators import data_inputs, follows
from enxuto.quantization.placement import place
from enxuto.quantization.subsample import slices_as_convolutions
from enxuto.techniques.base import Context

OPERATORS = frozenset({"Conv", "Gemm", "MatMul"})
_OF_OPENVINO = OPERATORS | {"ConvTranspose"}
OPSET = 13
"""The first with a scale for each channel."""

_MOVES_CHANNELS = frozenset({"Flatten", "Gather", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})

Points = dict[str, int]
"""The axis that counts channels, by name of the tensor."""


def prepared(model: ir.Model, context: Context) -> ir.Model:
    """A copy in the form that is quantized: constants folded, batch norms merged, of a recent opset.

    A tensor that keeps its name keeps its values, so that figures of this form hold for the model itself as well.

    Raises:
        NotApplicable: an old opset that cannot be raised (``opset_too_old``).
    """
    found = optimized(with_opset(model, OPSET, context))
    slices_as_convolutions(found.graph)
    passes.RemoveUnusedNodesPass()(found)
    return found


def operators_of(layout: Layout) -> frozenset[str]:
    """What the runtime computes in integers."""
    return _OF_OPENVINO if layout == "openvino" else OPERATORS


def points_of(model: ir.Model) -> Points:
    """Inputs of convolutions and matrix products, those of queries and keys among them, what convolutions write, and
    what runs in integers between them."""
    tensors = dict.fromkeys(
        chain(
            *(
                place(model.graph, list(linears(model.graph, operators_of(layout))), layout=layout).tensors
                for layout in get_args(Layout)
            )
        )
    )
    images = _images(model.graph)
    return {str(tensor.name): 1 if tensor in images else -1 for tensor in tensors}


def _images(graph: ir.Graph) -> set[ir.Value]:
    """What convolutions read and write, and what is made of that without moving channels."""
    found: set[ir.Value] = set()
    for node in graph:
        if node.op_type in ("Conv", "ConvTranspose"):
            found.update(data_inputs(node), node.outputs)
        elif follows(node) and node.op_type not in _MOVES_CHANNELS and found.intersection(data_inputs(node)):
            found.update(node.outputs)
    return found
