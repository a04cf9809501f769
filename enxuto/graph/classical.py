"""Operators of the domain for classical machine learning, in standard ones where these say the same.

Exporters of scikit-learn write them around networks. Runtimes have slower kernels for them, or none (OpenVINO), and
what they compute cannot be merged into the products behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import REARRANGEMENTS, array_of, is_constant

_DOMAIN = "ai.onnx.ml"
_OPSET = 7
"""The first whose arithmetic broadcasts without being told."""
_KEEP_TYPE = REARRANGEMENTS | {"Concat", "Gather", "Imputer", "Mul", "Sub"}


def in_standard_operators(model: ir.Model) -> None:
    """Edit a model without functions, its constants lifted, in place.

    Scaler and ArrayFeatureExtractor are written as ONNX defines them.
    """
    found = [node for node in model.graph if _has_standard_form(node)]
    if not found or model.opset_imports.get("", 0) < _OPSET:
        return
    editor = Editor(model.graph)
    for node in found:
        editor.replace(node, list(_WRITERS[node.op_type](editor, node)))


def _has_standard_form(node: ir.Node) -> bool:
    """Of features to pick, one row or many make a difference. Features to scale are on the second axis of two: what
    runtimes make of more, the specification does not say."""
    if node.domain != _DOMAIN or node.op_type not in _WRITERS:
        return False
    data = node.inputs[0]
    if node.op_type == "Scaler":
        return data is not None and (data.shape is None or len(data.shape) <= 2)
    return data is not None and data.shape is not None


def _scaler(editor: Editor, node: ir.Node) -> Iterator[ir.Node]:
    """``(x - offset) * scale``, a float whatever came in; either is for each feature, or for all.

    Of doubles, such as points in time, only the outcome is rounded: what is left by a large offset has its digits.
    """
    data, name = node.inputs[0], str(node.outputs[0].name)
    kind = ir.DataType.DOUBLE if _type_on_the_way(data) in (ir.DataType.DOUBLE, None) else ir.DataType.FLOAT
    if data is not None and data.dtype != kind:
        cast = editor.node("Cast", [data], f"{name}_{kind.name.lower()}", attributes={"to": kind.value})
        yield cast
        data = cast.outputs[0]
    for op_type, attribute in (("Sub", "offset"), ("Mul", "scale")):
        numbers = node.attributes.get(attribute)
        by = np.array(numbers.as_floats() if numbers else [0 if attribute == "offset" else 1], dtype=kind.numpy())
        step = editor.node(op_type, [data, editor.weight(f"{name}_{attribute}", by)], f"{name}_{op_type.lower()}")
        yield step
        data = step.outputs[0]
    if kind != ir.DataType.FLOAT:
        yield editor.node("Cast", [data], f"{name}_rounded", attributes={"to": ir.DataType.FLOAT.value})


def _type_on_the_way(value: ir.Value | None) -> ir.DataType | None:
    """As far as it was told, or can be told from what made the numbers; else None."""
    while value is not None and value.dtype is None:
        node = value.producer()
        if node is None or node.op_type not in _KEEP_TYPE:
            return None
        if node.op_type == "Cast":
            return ir.DataType(node.attributes["to"].as_int())
        value = node.inputs[0]
    return None if value is None else value.dtype


def _array_feature_extractor(editor: Editor, node: ir.Node) -> Iterator[ir.Node]:
    """What stands at these places of the last axis. Classes that count from zero are their places themselves."""
    data, places = node.inputs
    name, classes = str(node.outputs[0].name), _type_of_places(data)
    rows = [1, -1] if data is None or data.shape is None or len(data.shape) == 1 else [-1]
    flat = editor.node("Reshape", [places, editor.weight(f"{name}_shape", np.array(rows))], f"{name}_places")
    yield flat
    if classes is None or not _is_choice(places):
        yield editor.node("Gather", [data, flat.outputs[0]], f"{name}_class", attributes={"axis": -1})
    elif not _is_cast_anyway(node.outputs[0]):
        yield editor.node("Cast", [flat.outputs[0]], f"{name}_class", attributes={"to": classes.value})


def _type_of_places(data: ir.Value | None) -> ir.DataType | None:
    """Of classes that count from zero; None of all others."""
    if data is None or not is_constant(data) or data.dtype not in (ir.DataType.INT32, ir.DataType.INT64):
        return None
    numbers = array_of(data)
    return data.dtype if numbers.ndim == 1 and np.array_equal(numbers, np.arange(len(numbers))) else None


def _is_choice(places: ir.Value | None) -> bool:
    """Whether it is the place of the largest: never before the first."""
    producer = places.producer() if places is not None else None
    return producer is not None and producer.op_type in ("ArgMax", "ArgMin")


def _is_cast_anyway(classes: ir.Value) -> bool:
    """Whether all that is made of them are other types. What is known of types on the way no longer holds then."""
    way = [classes]
    while not way[-1].is_graph_output() and len(way[-1].uses()) == 1:
        reader = way[-1].consumers()[0]
        if reader.op_type == "Cast":
            for value in way:
                value.type = None
            return True
        if reader.op_type != "Reshape" or reader.inputs[0] is not way[-1]:
            return False
        way.append(reader.outputs[0])
    return False


_WRITERS: dict[str, Callable[[Editor, ir.Node], Iterator[ir.Node]]] = {
    "Scaler": _scaler,
    "ArrayFeatureExtractor": _array_feature_extractor,
}
