"""What the stored tensors say: how many numbers, in which precision, and whether they can be used at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from enxuto.errors import BadInput, Finding
from enxuto.model_file.external import external_range, location_of, outside
from enxuto.model_file.proto import nodes, tensors
from enxuto.model_file.structure import dtype_name

Precision = Literal["float32", "float16", "bfloat16", "float64", "mixed", "integer"]
_PRECISIONS: dict[str, Precision] = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float64": "float64",
}
_LONGEST_NAME = 120
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


@dataclass(frozen=True)
class Weights:
    parameters: int
    precision: Precision
    advice: list[Finding]


def read_weights(proto: ModelProto, beside: Mapping[str, Path]) -> Weights:
    """Look at every tensor, one at a time; ``beside`` are the other files that they may lie in, by their digests.

    Raises:
        BadInput: data in other files, tensors cut short, NaN among the weights.
    """
    _refuse_external_data(proto, beside)
    _refuse_sparse_weights(proto)
    elements: Counter[str] = Counter()
    nan, infinite = [], []
    for name, tensor in tensors(proto):
        elements[dtype_name(tensor.data_type)] += prod(tensor.dims)
        if tensor.data_type in _FLOATS:
            lowest, highest = _range(name, tensor, beside)
            # One NaN alone is a constant, such as what stands for a missing value; among weights it is damage.
            nan += [name] if np.isnan(lowest) and prod(tensor.dims) > 1 else []
            infinite += [name] if highest == np.inf and prod(tensor.dims) > 1 else []
    if nan:
        raise BadInput(
            f"{_count(nan, 'tensor')} with NaN: {_first(nan)}. Whatever the model computes from them is NaN too.",
            code="non_finite_weights",
            hint="The training diverged or the file was damaged: export from an earlier checkpoint.",
        )
    scalars = sum(_constant_elements(node) for node in nodes(proto))
    return Weights(sum(elements.values()) + scalars, _precision(elements), _advice_on_infinite(infinite))


def _refuse_external_data(proto: ModelProto, beside: Mapping[str, Path]) -> None:
    unknown = [name for name, tensor in outside(proto) if location_of(name, tensor) not in beside]
    if unknown:
        raise BadInput(
            f"the weights of {_count(unknown, 'tensor')} lie in other files: {_first(unknown)}.",
            code="external_data",
            hint="Send the files of its weights with it: uploads, and then POST /v1/models as JSON (the client does "
            "so by itself). Or save it as one file: onnx.save(onnx.load('model.onnx'), 'single.onnx').",
        )


def _refuse_sparse_weights(proto: ModelProto) -> None:
    if proto.graph.sparse_initializer:
        raise BadInput(
            f"{_count(proto.graph.sparse_initializer, 'weight')} in ONNX's sparse format, which is not read here.",
            code="sparse_weights",
            hint="Store the weights as dense tensors; zeros in them are kept.",
        )


def _range(name: str, tensor: TensorProto, beside: Mapping[str, Path]) -> tuple[float, float]:
    """Lowest and highest value; both NaN where there is one."""
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            return external_range(name, tensor, beside[location_of(name, tensor)])
        values = numpy_helper.to_array(tensor)
        if not values.size:
            return 0.0, 0.0
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        return float(values.min()), float(values.max())
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(
            f"tensor {_first([name])} declares the shape {list(tensor.dims)}, which its data does not fill.",
            code="damaged_model",
            hint="Compare the file's size and checksum with the original, and upload it again.",
        ) from error


def _constant_elements(node: NodeProto) -> int:
    if node.op_type != "Constant":
        return 0
    return sum(
        len(attribute.floats) + len(attribute.ints) + (attribute.name in ("value_float", "value_int"))
        for attribute in node.attribute
    )


def _precision(elements: Counter[str]) -> Precision:
    shares: Counter[Precision] = Counter()
    for dtype, count in elements.items():
        integer = dtype.startswith(("int", "uint", "bool"))
        shares["integer" if integer else _PRECISIONS.get(dtype, "mixed")] += count
    if not shares.total():
        return "float32"
    ((precision, count),) = shares.most_common(1)
    return precision if 2 * count > shares.total() else "mixed"


def _advice_on_infinite(names: list[str]) -> list[Finding]:
    """Worth a word and no refusal: the rest may still be right. Minus infinity is what scores are masked with."""
    if not names:
        return []
    return [
        Finding(
            code="infinite_values",
            detail=f"{_count(names, 'tensor')} with infinite values: {_first(names)}.",
            hint="Fine for constants that are compared with; if these are weights, the training overflowed.",
        )
    ]


def _count(things: Iterable[object], noun: str) -> str:
    number = len(list(things))
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _first(names: list[str]) -> str:
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in names[:3]]
    return ", ".join(shown) + (", …" if len(names) > 3 else "")
