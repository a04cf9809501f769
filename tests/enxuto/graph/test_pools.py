"""Means over pixels become pools where that changes nothing, and means again where integers surround them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.graph.apply import apply_technique
from enxuto.graph.optimize import optimized
from enxuto.techniques import Work
from enxuto.techniques.static_int8 import StaticInt8
from tests.support.batches import context, drift, outputs_of, samples_for
from tests.support.fused import kernels


def averaging(mean: str, opset: int = 17, between: str = "Relu") -> ModelProto:
    axes = f"<axes = {mean}>(r)" if opset < 18 else "(r, axes)"
    model = parse_model(f"""
        <ir_version: 8, opset_import: ["" : {opset}]>
        averaging (float[batch, 3, 6, 6] x) => (float[batch, 8, 1, 1] y) {{
            c = Conv<kernel_shape = [3, 3]>(x, w)
            r = {between}(c)
            mean = ReduceMean{axes}
            y = Conv<kernel_shape = [1, 1]>(mean, v)
        }}""")
    random = np.random.default_rng(0)
    for name, shape in {"w": (8, 3, 3, 3), "v": (8, 8, 1, 1)}.items():
        model.graph.initializer.append(numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name))
    if opset >= 18:
        model.graph.initializer.append(numpy_helper.from_array(np.array([-1, -2]), "axes"))
    return model


def operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize(("mean", "opset"), [("[2, 3]", 17), ("[-1, 2]", 17), ("", 18)])
def test_a_mean_over_all_pixels_is_a_pool(mean: str, opset: int) -> None:
    proto = averaging(mean, opset)
    found = optimized(ir.from_proto(proto))
    assert (operators(found)["ReduceMean"], operators(found)["GlobalAveragePool"]) == (0, 1)
    samples = samples_for(proto, 4)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 1e-6


def test_without_kept_axes_a_flattening_follows() -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        flat (float[batch, 3, 6, 6] x) => (float[batch, 3] y) {
            r = Relu(x)
            y = ReduceMean<axes = [2, 3], keepdims = 0>(r)
        }""")
    found = optimized(ir.from_proto(proto))
    assert operators(found) == {"Relu": 1, "GlobalAveragePool": 1, "Flatten": 1}
    samples = samples_for(proto, 4)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 1e-6


@pytest.mark.parametrize("mean", ["[2]", "[1, 2, 3]"])
def test_other_means_stay(mean: str) -> None:
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        other (float[batch, 3, 6, 6] x) => (float y) {{
            r = Relu(x)
            m = ReduceMean<axes = {mean}>(r)
            y = ReduceSum<keepdims = 0>(m)
        }}""")
    assert operators(optimized(ir.from_proto(proto)))["ReduceMean"] == 1


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize(("between", "pool"), [("Relu", "QLinearGlobalAveragePool"), ("HardSwish", "ReduceMean")])
def test_between_integers_only_an_integer_pool_is_one(between: str, pool: str, opset: int, tmp_path: Path) -> None:
    proto = averaging("[2, 3]", opset, between)
    work = Work(ir.from_proto(proto))
    done = apply_technique(StaticInt8(), work, context(tmp_path, samples_for(proto, 32)))
    found = kernels(ir.to_proto(done.model), tmp_path)
    assert found[pool] == 1
    assert not found["GlobalAveragePool"]
    samples = samples_for(proto, 8)
    assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) < 0.05


@pytest.mark.parametrize("shape", [[0, 8, 16], [0, 2, 4, 4, 4]], ids=["sequence", "volume"])
def test_what_was_an_image_before_a_reshape_is_pooled_over_the_axes_it_has_since(
    shape: list[int], tmp_path: Path
) -> None:
    axes = ", ".join(str(size) for size in (shape[1], *[1] * (len(shape) - 2)))
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        reshaped (float[batch, 3, 6, 6] x) => (float[batch, {axes}] y) {{
            c = Conv<kernel_shape = [3, 3]>(x, w)
            r = Elu(c)
            f = Reshape(r, shape)
            y = GlobalAveragePool(f)
        }}""")
    weight = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    for name, array in {"w": weight, "shape": np.array(shape)}.items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    samples = samples_for(proto, 8)
    done = apply_technique(StaticInt8(), Work(ir.from_proto(proto)), context(tmp_path, samples)).model
    assert drift(outputs_of(proto, samples), outputs_of(done, samples)) < 0.05
