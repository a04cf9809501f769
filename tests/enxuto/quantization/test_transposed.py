"""Transposed convolutions: small files under ONNX Runtime, integers under OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.graph.apply import apply_technique
from enxuto.graph.file import write_model
from enxuto.runtimes import load_model
from enxuto.runtimes.openvino import OpenVinoModel
from enxuto.settings import OpenVinoSettings
from enxuto.techniques import Work
from enxuto.techniques.static_int8 import StaticInt8
from tests.support.batches import context, drift, outputs_of, samples_for


def decoder(groups: int = 1) -> ModelProto:
    """Up to twice the size and twice again, as generators and segmentation networks do it."""
    random = np.random.default_rng(0)
    each = 8 // groups
    model = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        decoder (float[batch, 3, 6, 6] x) => (float[batch, 3, 24, 24] y) {{
            c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w)
            r = Relu(c)
            u = ConvTranspose<kernel_shape = [4, 4], strides = [2, 2], pads = [1, 1, 1, 1], group = {groups}>(r, up, b)
            ru = Relu(u)
            v = ConvTranspose<kernel_shape = [2, 2], strides = [2, 2]>(ru, last)
            y = Tanh(v)
        }}""")
    shapes = {"w": (16, 3, 3, 3), "up": (16, each, 4, 4), "b": (8,), "last": (8, 3, 2, 2)}
    for name, shape in shapes.items():
        array = (random.standard_normal(shape) / 5).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def quantized(proto: ModelProto, folder: Path, **given: object) -> ir.Model:
    technique = StaticInt8.model_validate({"kind": "static_int8", **given})
    return apply_technique(technique, Work(ir.from_proto(proto)), context(folder, samples_for(proto, 32))).model


def float_weights(model: ir.Model) -> set[str]:
    return {
        name
        for name, value in model.graph.initializers.items()
        if value.dtype == ir.DataType.FLOAT and value.const_value is not None and value.const_value.size >= 512
    }


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("layout", ["onnxruntime", "openvino"])
def test_their_weights_are_in_int8_and_outputs_stay(layout: str, groups: int, tmp_path: Path) -> None:
    proto = decoder(groups)
    done = quantized(proto, tmp_path, layout=layout)
    assert not float_weights(done)
    samples = samples_for(proto, 32)
    expected = outputs_of(proto, samples)
    path = tmp_path / "decoder.onnx"
    write_model(done, path)
    assert drift(expected, load_model(path).run(samples)) < 0.03
    assert drift(expected, load_model(path, OpenVinoSettings()).run(samples)) < 0.03


def test_openvino_computes_them_in_integers(tmp_path: Path) -> None:
    path = tmp_path / "decoder.onnx"
    write_model(quantized(decoder(), tmp_path, layout="openvino"), path)
    model = OpenVinoModel(path, 1, record=True)
    model.run(samples_for(decoder(), 4))
    kernels = [str(each.exec_type) for each in model.counters if each.node_type == "ConvolutionBackpropData"]
    assert len(kernels) == 2
    assert all(kernel.lower().endswith("i8") for kernel in kernels)


def test_what_is_excluded_keeps_its_weights(tmp_path: Path) -> None:
    for layout in ("onnxruntime", "openvino"):
        done = quantized(decoder(), tmp_path, layout=layout, exclude=["ConvTranspose"])
        assert float_weights(done) == {"up"}


@pytest.mark.parametrize("layout", ["onnxruntime", "openvino"])
def test_a_network_of_nothing_else_is_quantized_too(layout: str, tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        generator (float[batch, 16, 1, 1] z) => (float[batch, 3, 8, 8] y) {
            u = ConvTranspose<kernel_shape = [4, 4]>(z, first)
            r = Relu(u)
            v = ConvTranspose<kernel_shape = [4, 4], strides = [2, 2], pads = [1, 1, 1, 1]>(r, second)
            y = Tanh(v)
        }""")
    random = np.random.default_rng(0)
    for name, shape in {"first": (16, 16, 4, 4), "second": (16, 3, 4, 4)}.items():
        array = (random.standard_normal(shape) / 8).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    done = quantized(proto, tmp_path, layout=layout)
    assert not float_weights(done)
    samples = samples_for(proto, 32)
    assert drift(outputs_of(proto, samples), outputs_of(done, samples)) < 0.03
