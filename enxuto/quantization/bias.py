"""What rounding a weight does to the mean of its outputs, so that the bias can take it back.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, equation 14: the
shift of output ``o`` is the sum over inputs of the weight's error times the input's mean. The paper derives means from
batch norms; here they are those of the calibration samples, as in NNCF's fast bias correction, which comes to the same
where images have no padded borders to speak of; where they have, this is what rounding shifts (docs/methods.md).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def shift(node: ir.Node, error: np.ndarray, channel_axis: int, means: np.ndarray) -> np.ndarray | None:
    """float64, one for each output channel; None where the means are not those of the node's input channels.

    Borders that a convolution pads with zeros are taken to be like the rest.
    """
    by_output = np.moveaxis(error.astype(np.float64), channel_axis, 0)
    if node.op_type != "Conv":
        return by_output @ means if by_output.shape[1:] == means.shape else None
    group = node.attributes.get("group")
    groups = 1 if group is None else group.as_int()
    outputs, inputs = by_output.shape[:2]
    if inputs * groups != len(means) or outputs % groups:
        return None
    sums = by_output.reshape(groups, outputs // groups, inputs, -1).sum(axis=3)
    moved: np.ndarray = np.einsum("goi,gi->go", sums, means.reshape(groups, inputs)).ravel()
    return moved
