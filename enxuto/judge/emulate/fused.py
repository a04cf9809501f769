"""The graph that ONNX Runtime makes of a file: which integer products it runs is known only after it fused nodes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import NodeProto, TensorProto, helper, numpy_helper

from enxuto.runtimes.onnxruntime import OnnxRuntimeModel
from enxuto.settings import OnnxRuntimeSettings

_FILE, _WEIGHTS = "fused.onnx", "fused.data"
_INSIDE_BYTES = "1024"
"""Larger weights lie beside the graph, and are read only when asked for."""

_ZERO_OF_OUTPUT = {
    "QLinearConv": 7, "QLinearMatMul": 7, "QGemm": 8, "QLinearAdd": 7, "QLinearMul": 7, "QLinearSigmoid": 4,
    "QLinearLeakyRelu": 4, "QLinearSoftmax": 4, "QLinearAveragePool": 4, "QLinearGlobalAveragePool": 4,
    "QLinearConcat": 1,
}  # fmt: skip
"""Position of the zero point that the output's type is that of."""
_SAME_TYPE = frozenset(
    {
        "Reshape", "Transpose", "Slice", "Pad", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Gather", "MaxPool",
        "Relu", "Clip", "Concat", "Split", "Expand", "Tile", "Resize", "DepthToSpace", "SpaceToDepth",
    }
)  # fmt: skip


class FusedGraph:
    """Nodes as they run, down to optimizations that only change the order of elements in memory."""

    def __init__(self, path: Path, scratch: Path) -> None:
        """Raises BadInput where ONNX Runtime cannot load the file."""

        def save(options: ort.SessionOptions) -> None:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            options.optimized_model_filepath = str(scratch / _FILE)
            prefix = "session.optimized_model_external_initializers"
            options.add_session_config_entry(f"{prefix}_file_name", _WEIGHTS)
            options.add_session_config_entry(f"{prefix}_min_size_in_bytes", _INSIDE_BYTES)

        OnnxRuntimeModel(path, 1, OnnxRuntimeSettings(), adjust=save)
        self._scratch = scratch
        self.proto = onnx.load(str(scratch / _FILE), load_external_data=False)
        self.weights = {tensor.name: tensor for tensor in self.proto.graph.initializer}
        _split_dynamic(self.proto)

    @property
    def nodes(self) -> list[NodeProto]:
        return list(self.proto.graph.node)

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self._scratch / _FILE, self._scratch / _WEIGHTS) if path.exists())

    @property
    def outputs(self) -> list[str]:
        return [output.name for output in self.proto.graph.output]

    def weight(self, name: str) -> np.ndarray | None:
        """None for what is no weight."""
        if name not in self.weights:
            return None
        return numpy_helper.to_array(self.weights[name], base_dir=str(self._scratch))

    def tensor(self, name: str) -> TensorProto:
        """A weight with its bytes inside."""
        tensor = TensorProto()
        tensor.CopyFrom(self.weights[name])
        if tensor.data_location == TensorProto.EXTERNAL:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(self._scratch))
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
        return tensor

    def element_type(self, name: str) -> int:
        """Of ``TensorProto``; 0 where it cannot be told. The runtime leaves most of them out of the graph it writes."""
        if known := self._declared.get(name):
            return known
        node = self._makers.get(name)
        if node is None:
            return 0
        if node.op_type == "DynamicQuantizeLinear":
            return TensorProto.UINT8
        if node.op_type == "QuantizeLinear":
            return self.element_type(node.input[2]) if len(node.input) > 2 else TensorProto.UINT8
        if node.op_type in _ZERO_OF_OUTPUT:
            position = _ZERO_OF_OUTPUT[node.op_type]
            return self.element_type(node.input[position]) if len(node.input) > position else 0
        return self.element_type(node.input[0]) if node.op_type in _SAME_TYPE else 0

    @cached_property
    def _makers(self) -> dict[str, NodeProto]:
        return {name: node for node in self.nodes for name in node.output}

    @cached_property
    def _declared(self) -> dict[str, int]:
        graph = self.proto.graph
        values = (*graph.value_info, *graph.input, *graph.output)
        types = {value.name: value.type.tensor_type.elem_type for value in values}
        return types | {name: tensor.data_type for name, tensor in self.weights.items()}


def names_read(node: NodeProto) -> Iterator[str]:
    """By a node and by the graphs inside it; a few that those make themselves are among them."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from names_read(inner)
            yield from (output.name for output in graph.output)


def _split_dynamic(model: onnx.ModelProto) -> None:
    """Part DynamicQuantizeMatMul into the two nodes that it was fused of, which compute the same."""
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        nodes.extend(_parts(node) if node.op_type == "DynamicQuantizeMatMul" else [node])
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _parts(node: NodeProto) -> list[NodeProto]:
    inputs = [*node.input, *[""] * (5 - len(node.input))]
    data, weight, scale, zero, bias = inputs[:5]
    values = [f"{node.output[0]}:{part}" for part in ("integers", "scale", "zero")]
    product = [values[0], weight, values[1], scale, values[2], zero, bias]
    return [
        helper.make_node("DynamicQuantizeLinear", [data], values),
        helper.make_node(
            "MatMulIntegerToFloat", product, list(node.output), name=node.name, domain="com.microsoft"
        ),
    ]  # fmt: skip
