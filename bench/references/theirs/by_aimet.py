"""quic/aimet: cross-layer scaling of an ONNX file, as its ``CrossLayerScaling`` does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from aimet_onnx.cross_layer_equalization import CrossLayerScaling
from answer import Arrays, main
from onnx import numpy_helper


def equalize(_: Arrays, path: Path) -> Arrays:
    """Weights and biases by what a convolution writes, and which convolutions were scaled."""
    model = onnx.load(path)
    sets = CrossLayerScaling(model).scale_model()
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found: dict[str, np.ndarray] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            found |= {f"{node.output[0]}|{i}": arrays[name] for i, name in enumerate(node.input[1:], 1)}
    pairs = [pair for one in sets for pair in one.cls_pair_info_list]
    layers = {op.get_module().output[0] for pair in pairs for op in (pair.layer1, pair.layer2)}
    return {**found, "layers": np.array(sorted(layers), dtype=np.str_)}


main(equalize)
