"""Integers laid out for OpenVINO: one rounding a kernel, behind what the kernel computes on the way."""

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

WEIGHTS = {"w1": (16, 3, 3, 3), "w2": (16, 1, 3, 3), "s1": (4, 16, 1, 1), "s2": (16, 4, 1, 1), "w3": (16, 16, 1, 1)}


def squeezing(gate: str) -> ModelProto:
    """As in mobile networks: depthwise, with a gate for each channel, a residual sum, and a head."""
    random = np.random.default_rng(0)
    model = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        squeezing (float[batch, 3, 8, 8] x) => (float[batch, 16, 8, 8] y) {{
            a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w1)
            ga = {gate}(a)
            sa = Mul(a, ga)
            d = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 16>(sa, w2)
            gd = {gate}(d)
            sd = Mul(gd, d)
            pooled = GlobalAveragePool(sd)
            e = Conv<kernel_shape = [1, 1]>(pooled, s1)
            re = Relu(e)
            f = Conv<kernel_shape = [1, 1]>(re, s2)
            gf = Sigmoid(f)
            excited = Mul(sd, gf)
            p = Conv<kernel_shape = [1, 1]>(excited, w3)
            sum = Add(sa, p)
            y = Conv<kernel_shape = [1, 1]>(sum, w3)
        }}""")
    for name, shape in WEIGHTS.items():
        array = (random.standard_normal(shape) / 2).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def quantized(proto: ModelProto, folder: Path, layout: str) -> ir.Model:
    technique = StaticInt8.model_validate({"kind": "static_int8", "layout": layout})
    return apply_technique(technique, Work(ir.from_proto(proto)), context(folder, samples_for(proto, 32))).model


def rounded(model: ir.Model) -> set[str]:
    """Tensors that are quantized."""
    return {str(node.inputs[0].name) for node in model.graph if node.op_type == "QuantizeLinear" and node.inputs[0]}


@pytest.mark.parametrize("gate", ["Sigmoid", "HardSigmoid"])
def test_openvinos_kernels_round_behind_activations_and_sums(gate: str, tmp_path: Path) -> None:
    found = rounded(quantized(squeezing(gate), tmp_path, "openvino"))
    assert found == {"x", "sa", "sd", "pooled", "re", "gf", "excited", "sum"}


@pytest.mark.parametrize("gate", ["Sigmoid", "HardSigmoid"])
def test_onnxruntimes_kernels_round_before_them(gate: str, tmp_path: Path) -> None:
    found = rounded(quantized(squeezing(gate), tmp_path, "onnxruntime"))
    assert {"a", "d", "p", "y_before_quantization"} <= found


def test_rounding_less_often_is_more_exact(tmp_path: Path) -> None:
    proto = squeezing("Sigmoid")
    samples = samples_for(proto, 32, seed=1)
    expected, errors = outputs_of(proto, samples), {}
    for layout in ("onnxruntime", "openvino"):
        path = tmp_path / f"{layout}.onnx"
        write_model(quantized(proto, tmp_path, layout), path)
        errors[layout] = drift(expected, load_model(path, OpenVinoSettings()).run(samples))
    assert errors["openvino"] < 0.8 * errors["onnxruntime"]
    assert errors["openvino"] < 0.03


def test_of_two_convolutions_that_are_added_the_last_computes_the_sum(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        shortcut (float[batch, 8, 8, 8] x) => (float[batch, 8, 8, 8] y) {
            left = Conv<kernel_shape = [1, 1]>(x, w)
            right = Conv<kernel_shape = [1, 1]>(x, v)
            sum = Add(left, right)
            clipped = Relu(sum)
            y = Conv<kernel_shape = [1, 1]>(clipped, w)
        }""")
    random = np.random.default_rng(0)
    for name in ("w", "v"):
        array = random.standard_normal((8, 8, 1, 1)).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    assert rounded(quantized(proto, tmp_path, "openvino")) == {"x", "left", "clipped"}


def test_an_activation_that_somebody_else_reads_the_input_of_stays_apart(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        shared (float[batch, 8, 8, 8] x) => (float[batch, 8, 8, 8] y, float[batch, 8, 8, 8] z) {
            a = Conv<kernel_shape = [1, 1]>(x, w)
            h = HardSwish(a)
            y = Conv<kernel_shape = [1, 1]>(h, w)
            z = Tanh(a)
        }""")
    array = np.random.default_rng(0).standard_normal((8, 8, 1, 1)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(array, "w"))
    assert rounded(quantized(proto, tmp_path, "openvino")) == {"x", "h"}


def patches() -> ModelProto:
    """As vision transformers begin: patches of an image as tokens, through products of as many channels."""
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        patches (float[batch, 3, 16, 16] x) => (float[batch, 16, 16] y) {
            image = Conv<kernel_shape = [4, 4], strides = [4, 4]>(x, w)
            rows = Reshape(image, shape)
            tokens = Transpose<perm = [0, 2, 1]>(rows)
            normal = LayerNormalization<axis = -1>(tokens, gain, shift)
            h = MatMul(normal, v)
            r = Relu(h)
            y = MatMul(r, u)
        }""")
    random = np.random.default_rng(0)
    for name, shape in {"w": (16, 3, 4, 4), "v": (16, 16), "u": (16, 16), "gain": (16,), "shift": (16,)}.items():
        array = random.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    proto.graph.initializer.append(numpy_helper.from_array(np.array([0, 16, 16]), "shape"))
    return proto


def test_integers_stay_integers_under_openvino_with_fixed_shapes(tmp_path: Path) -> None:
    path, proto = tmp_path / "patches.onnx", patches()
    write_model(quantized(proto, tmp_path, "openvino"), path)
    model = OpenVinoModel(path, 1, OpenVinoSettings(fixed_shapes=True))
    samples = samples_for(proto, 4, seed=1)
    assert drift(outputs_of(proto, samples), model.run(samples)) < 0.03
    infos = [node.get_rt_info() for node in model.compiled.get_runtime_model().get_ordered_ops()]
    products = [info["runtimePrecision"].astype(str) for info in infos if "FullyC" in info["layerType"].astype(str)]
    assert products == ["u8", "u8"]
