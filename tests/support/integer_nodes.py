"""Models of one node that adds up U8 × S8 products, with activations and weights that make many pairs saturate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

_TYPES = {
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
    "float32": TensorProto.FLOAT,
}
_MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class IntegerNode:
    name: str
    operator: str
    inputs: list[np.ndarray | None]
    fed: tuple[int, ...] = (0,)
    """Positions of what is no weight."""
    output: str = "uint8"
    domain: str = ""
    attributes: Mapping[str, int | list[int]] = field(default_factory=dict)

    def feeds(self) -> dict[str, np.ndarray]:
        return {
            f"x{position}": array
            for position, array in enumerate(self.inputs)
            if array is not None and position in self.fed
        }

    def model(self) -> ModelProto:
        given = {f"x{position}": array for position, array in enumerate(self.inputs) if array is not None}
        names = ["" if array is None else f"x{position}" for position, array in enumerate(self.inputs)]
        fed = self.feeds()
        graph = helper.make_graph(
            [helper.make_node(self.operator, names, ["y"], self.name, domain=self.domain, **self.attributes)],
            "node",
            [helper.make_tensor_value_info(name, _TYPES[str(array.dtype)], array.shape) for name, array in fed.items()],
            [helper.make_tensor_value_info("y", _TYPES[self.output], None)],
            [numpy_helper.from_array(array, name) for name, array in given.items() if name not in fed],
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def activations(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(150, 256, shape).astype(np.uint8)


def weights(*shape: int) -> np.ndarray:
    random = np.random.default_rng(2)
    return (random.integers(100, 128, shape) * random.choice([-1, 1], shape)).astype(np.int8)


def products() -> Iterator[IntegerNode]:
    scale, zero, none = np.array(0.01, np.float32), np.array(3, np.uint8), np.array(0, np.int8)
    half, level = np.array(0.5, np.float32), np.array(100, np.uint8)
    each = np.linspace(0.01, 0.02, 16, dtype=np.float32)
    for summed in (9, 128):
        x, w = activations(5, summed), weights(summed, 16)
        yield IntegerNode(f"MatMulInteger{summed}", "MatMulInteger", [x, w], output="int32")
        yield IntegerNode(f"MatMulIntegerRow{summed}", "MatMulInteger", [x[:1], w, zero], output="int32")
        yield IntegerNode(
            f"MatMulIntegerBoth{summed}", "MatMulInteger", [x, w, zero, np.array(5, np.int8)], (0, 1), "int32"
        )
        yield IntegerNode(f"QLinearMatMul{summed}", "QLinearMatMul", [x, scale, zero, w, scale, none, half, level])
        yield IntegerNode(
            f"QGemm{summed}", "QGemm",
            [x, scale, zero, w.T.copy(), scale, none, np.arange(16, dtype=np.int32), half, level],
            domain=_MICROSOFT, attributes={"transB": 1},
        )  # fmt: skip
        yield IntegerNode(
            f"MatMulIntegerToFloat{summed}", "MatMulIntegerToFloat",
            [x, w, scale, each, zero, np.zeros(16, np.int8), each], output="float32", domain=_MICROSOFT,
        )  # fmt: skip
        real = np.abs(np.random.default_rng(3).standard_normal((5, summed))).astype(np.float32)
        yield IntegerNode(
            f"DynamicQuantizeMatMul{summed}",
            "DynamicQuantizeMatMul",
            [real, w, each],
            output="float32",
            domain=_MICROSOFT,
        )


def convolutions() -> Iterator[IntegerNode]:
    cases: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, int | list[int]], int]] = [
        ("three_channels", (1, 3, 8, 8), (16, 3, 3, 3), {"pads": [1, 1, 1, 1]}, 0),
        ("sixteen_channels", (2, 16, 8, 8), (16, 16, 3, 3), {"pads": [1, 1, 1, 1]}, 0),
        ("dilated", (1, 16, 8, 8), (8, 16, 3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2], "strides": [2, 1]}, 0),
        ("same_upper", (1, 5, 7, 8), (8, 5, 3, 4), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, 0),  # type: ignore[dict-item]
        ("groups", (1, 6, 8, 8), (10, 3, 3, 3), {"group": 2}, 0),
        ("depthwise", (1, 16, 8, 8), (16, 1, 3, 3), {"group": 16, "pads": [1, 1, 1, 1]}, 0),
        ("two_for_each_channel", (1, 4, 8, 8), (8, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}, 0),
        ("pointwise", (1, 6, 4, 4), (9, 6, 1, 1), {"strides": [2, 2]}, 0),
        ("one_axis", (1, 6, 9), (9, 6, 3), {"pads": [1, 1]}, 0),
        ("three_axes", (1, 6, 4, 4, 4), (9, 6, 3, 3, 3), {"pads": [1] * 6}, 0),
        ("weights_around_five", (1, 16, 8, 8), (16, 16, 3, 3), {"pads": [1, 1, 1, 1]}, 5),
    ]
    scale, zero = np.array(0.01, np.float32), np.array(3, np.uint8)
    for name, image, weight, attributes, around in cases:
        bias = np.arange(weight[0], dtype=np.int32) * 50
        inputs = [
            activations(*image), scale, zero, weights(*weight), scale, np.array(around, np.int8),
            np.array(0.5, np.float32), np.array(100, np.uint8), bias,
        ]  # fmt: skip
        yield IntegerNode(name, "QLinearConv", list(inputs), attributes=attributes)


NODES = [*products(), *convolutions()]
