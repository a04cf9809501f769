"""openvinotoolkit/nncf: a model quantized by ``nncf.quantize``, with and without its fast bias correction.

Leaves, by what a layer writes, the weights as they are after rounding, and its bias before and after.
"""

from __future__ import annotations

from pathlib import Path

import nncf
import numpy as np
import onnx
import onnxruntime as ort
from answer import Arrays, main
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
from onnx import numpy_helper


def correct(given: Arrays, path: Path) -> Arrays:
    rows = [
        {name: array[row : row + 1] for name, array in given.items()} for row in range(len(next(iter(given.values()))))
    ]
    found: dict[str, np.ndarray] = {}
    for corrected in (False, True):
        how = AdvancedQuantizationParameters(disable_bias_correction=not corrected)
        model = nncf.quantize(onnx.load(path), nncf.Dataset(rows), subset_size=len(rows), advanced_parameters=how)
        found |= _parameters(model, corrected)
        found["model" if corrected else "model_before"] = np.frombuffer(model.SerializeToString(), dtype=np.uint8)
    return found


def _parameters(model: onnx.ModelProto, corrected: bool) -> dict[str, np.ndarray]:
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made = {node.output[0]: node for node in model.graph.node}
    found = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in made:
            restore = made[node.input[1]]
            weight = ort.InferenceSession(_only(model, restore, made).SerializeToString()).run(None, {})[0]
            found[f"{node.output[0]}|weight"] = weight
            if len(node.input) > 2:
                found[f"{node.output[0]}|{'after' if corrected else 'before'}"] = arrays[node.input[2]]
    return found


def _only(model: onnx.ModelProto, restore: onnx.NodeProto, made: dict[str, onnx.NodeProto]) -> onnx.ModelProto:
    """What makes a weight of its stored form."""
    nodes, wanted = [restore], list(restore.input)
    while wanted:
        if (node := made.get(wanted.pop())) is not None:
            nodes.insert(0, node)
            wanted += node.input
    names = {name for node in nodes for name in node.input}
    result = onnx.helper.make_tensor_value_info(restore.output[0], onnx.TensorProto.FLOAT, None)
    stored = [tensor for tensor in model.graph.initializer if tensor.name in names]
    graph = onnx.helper.make_graph(nodes, "weight", [], [result], stored)
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


main(correct)
