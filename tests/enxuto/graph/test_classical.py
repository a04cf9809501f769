"""Operators that scikit-learn's exporters write become standard ones that answer the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto
from onnx.parser import parse_model

from enxuto.graph.optimize import optimized
from tests.support.batches import outputs_of

ROWS = np.array([[1.0, 5.0, -2.0], [0.5, 0.25, 8.0], [3.0, 3.0, 3.0]], dtype=np.float32)


def operators(model: ir.Model) -> Counter[str]:
    return Counter(f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in model.graph)


def same(proto: ModelProto, rows: np.ndarray = ROWS) -> Counter[str]:
    """The operators it is made of now, after answering as before."""
    found = optimized(ir.from_proto(proto))
    for before, after in zip(outputs_of(proto, {"x": rows}), outputs_of(found, {"x": rows}), strict=True):
        assert (before.dtype, before.shape) == (after.dtype, after.shape)
        np.testing.assert_array_equal(before, after)
    return operators(found)


def scaled(given: str, attributes: str) -> ModelProto:
    return parse_model(f"""
        <ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 1]>
        scaled ({given}[n, 3] x) => (float[n, 3] y) {{ y = ai.onnx.ml.Scaler<{attributes}>(x) }}""")


@pytest.mark.parametrize(
    "attributes",
    ["offset = [1.0, 2.0, 3.5], scale = [0.1, 2.0, 0.3]", "offset = [1.5], scale = [0.25]"],
)
def test_a_scaler_is_arithmetic(attributes: str) -> None:
    assert set(same(scaled("float", attributes))) <= {"Sub", "Mul"}


def test_a_scaler_makes_floats_of_integers() -> None:
    found = same(scaled("int64", "offset = [1.0], scale = [0.5]"), ROWS.astype(np.int64))
    assert found == Counter({"Cast": 1, "Sub": 1, "Mul": 1})


@pytest.mark.parametrize("made", ["", "joined = Concat<axis = 0>(x, x)"])
def test_a_scaler_of_doubles_keeps_what_a_large_offset_leaves(made: str) -> None:
    """As seconds since 1970. Of what is joined on the way the file does not tell the type."""
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 1]>
        scaled (double[n, 3] x) => (float[m, 3] y)
        {{ {made} y = ai.onnx.ml.Scaler<offset = [1.5e9], scale = [0.5]>({"joined" if made else "x"}) }}""")
    assert same(proto, ROWS.astype(np.float64) + 1.5e9) == Counter(
        {"Sub": 1, "Mul": 1, "Cast": 1, **({"Concat": 1} if made else {})}
    )


def test_scalers_of_picked_features_compute_in_floats() -> None:
    """As what they are made of is."""
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 1]>
        picked (float[n, 3] x) => (float[n, 2] y) <int64[2] places = {2, 0}>
        {
            some = ai.onnx.ml.ArrayFeatureExtractor(x, places)
            once = ai.onnx.ml.Scaler<offset = [1.0], scale = [2.0]>(some)
            y = ai.onnx.ml.Scaler<offset = [0.25], scale = [0.5]>(once)
        }""")
    assert same(proto) == Counter({"Gather": 1, "Sub": 2, "Mul": 2})


def test_a_scaler_of_three_axes_stays() -> None:
    """Runtimes count features on the second axis, arithmetic on the last."""
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 1]>
        scaled (float[n, 3, 5] x) => (float[n, 3, 5] y)
        { y = ai.onnx.ml.Scaler<offset = [1.0, 2.0, 3.0], scale = [0.1, 2.0, 0.3]>(x) }""")
    assert same(proto, np.ones((2, 3, 5), np.float32)) == Counter({"ai.onnx.ml::Scaler": 1})


def labelled(classes: str, kind: str, behind: str, label: str) -> ModelProto:
    return parse_model(f"""
        <ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 1]>
        labelled (float[n, 3] x) => ({label} label)
        <{kind} classes = {classes}, int64[1] flat = {{-1}}>
        {{
            place = ArgMax<axis = 1>(x)
            found = ai.onnx.ml.ArrayFeatureExtractor(classes, place)
            {behind}
        }}""")


def test_classes_that_count_from_zero_are_their_places() -> None:
    proto = labelled("{0, 1, 2}", "int32[3]", "r = Reshape(found, flat) label = Cast<to = 7>(r)", "int64[n]")
    assert set(same(proto)) == {"ArgMax", "Reshape"}


def test_a_type_that_somebody_reads_is_kept() -> None:
    proto = labelled("{0, 1, 2}", "int32[3]", "label = Reshape(found, flat)", "int32[n]")
    assert same(proto)["Cast"] == 1


@pytest.mark.parametrize(("classes", "kind"), [("{4, 7, 9}", "int64[3]"), ("{0, 2, 1}", "int64[3]")])
def test_other_classes_are_looked_up(classes: str, kind: str) -> None:
    proto = labelled(classes, kind, "label = Identity(found)", "int64[one, n]")
    assert same(proto)["Gather"] == 1


def test_features_are_picked_from_each_row() -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 1]>
        picked (float[n, 3] x) => (float[n, 2] y) <int64[2] places = {2, 0}>
        { y = ai.onnx.ml.ArrayFeatureExtractor(x, places) }""")
    assert same(proto)["Gather"] == 1


def test_what_has_no_standard_form_stays() -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 1]>
        binary (float[n, 3] x) => (float[n, 3] y) { y = ai.onnx.ml.Binarizer<threshold = 1.0>(x) }""")
    assert same(proto) == Counter({"ai.onnx.ml::Binarizer": 1})
