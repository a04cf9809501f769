"""What a model's bytes say of other files, read without the packages that know the format."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from enxuto.client.onnx_weights import files_beside
from tests.support.tiny_models import convnet, mlp


def elsewhere(name: str, location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_files_of_initializers_are_found_once(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    onnx.save(mlp(), tmp_path / "m.onnx", save_as_external_data=True, location="w/weights.bin", size_threshold=0)
    assert files_beside(tmp_path / "m.onnx") == ["w/weights.bin"]


def test_files_are_found_wherever_a_model_can_hold_a_tensor(tmp_path: Path) -> None:
    model = mlp()
    constant = helper.make_node("Constant", [], ["c"], value=elsewhere("c", "constant.bin"))
    inner = helper.make_graph([], "inner", [], [], [elsewhere("i", "./inner.bin")])
    model.graph.node.append(constant)
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))
    model.graph.initializer.append(elsewhere("w", "plain.bin"))
    function = model.functions.add(name="f", domain="d")
    function.node.add(op_type="Constant").attribute.append(helper.make_attribute("value", elsewhere("f", "f.bin")))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert files_beside(tmp_path / "m.onnx") == ["constant.bin", "f.bin", "inner.bin", "plain.bin"]


def test_most_models_name_none(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(convnet().SerializeToString())
    assert files_beside(tmp_path / "m.onnx") == []


def test_what_says_where_it_lay_and_holds_its_data_names_none(tmp_path: Path) -> None:
    model, tensor = mlp(), elsewhere("w", "w.bin")
    tensor.data_location = TensorProto.DEFAULT
    model.graph.initializer.append(tensor)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert files_beside(tmp_path / "m.onnx") == []


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../b", ""])
def test_no_path_out_of_the_folder_is_named(tmp_path: Path, location: str) -> None:
    model = mlp()
    model.graph.initializer.append(elsewhere("w", location))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert files_beside(tmp_path / "m.onnx") == []


NO_MODELS = [b"", b"text", b"\x80\x02pickle", b"\x3a\xff\xff\xff\xff\x7f", b"\x0b" * 9, os.urandom(99)]


@pytest.mark.parametrize("data", NO_MODELS, ids=range(len(NO_MODELS)))
def test_what_is_no_model_names_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    assert files_beside(tmp_path / "m.onnx") == []


def test_a_model_that_is_nested_without_end_names_none(tmp_path: Path) -> None:
    message = b""
    for _ in range(200):  # a graph in an attribute of a node of a graph
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            length, size = b"", len(message)
            while size > 127:
                length, size = length + bytes([size & 127 | 128]), size >> 7
            message = tag + length + bytes([size]) + message
    (tmp_path / "m.onnx").write_bytes(b"\x3a" + message[1:])
    assert files_beside(tmp_path / "m.onnx") == []
