"""What is kept in floating point stays there, whatever the runtime would like to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import ModelProto, checker, numpy_helper
from onnx.parser import parse_model

from enxuto.quantization.kept import guard_kept

_QUANTIZED_ANYWAY = "QLinearConv"


def kept_between(activation: str) -> ModelProto:
    """A float convolution between a tensor that is restored and one that is quantized."""
    random = np.random.default_rng(0)
    behind = f"act = {activation}(made)" if activation else "act = Identity(made)"
    model = parse_model(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        kept (float[batch, 4, 8, 8] x) => (float[batch, 4, 8, 8] y) {{
            q = QuantizeLinear(x, scale, zero)
            restored = DequantizeLinear(q, scale, zero)
            made = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(restored, weight, bias)
            {behind}
            q2 = QuantizeLinear({"act" if activation else "made"}, scale, none)
            y = DequantizeLinear(q2, scale, none)
        }}
        """
    )
    if not activation:
        del model.graph.node[3]
    weight = random.standard_normal((4, 4, 3, 3)).astype(np.float32)
    weight[0] *= 100  # with one scale for all, the others are lost
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name)
        for name, array in {
            "weight": weight, "bias": np.zeros(4, dtype=np.float32),
            "scale": np.array(0.05, dtype=np.float32), "zero": np.array(128, dtype=np.uint8),
            "none": np.array(0, dtype=np.uint8),
        }.items()
    )  # fmt: skip
    checker.check_model(model)
    return model


def operators_as_run(model: ModelProto, folder: Path) -> set[str]:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "as_run.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in ir.load(folder / "as_run.onnx").graph}


@pytest.mark.parametrize("activation", ["", "Relu"])
def test_a_float_convolution_between_integers_is_computed_in_floating_point(activation: str, tmp_path: Path) -> None:
    proto = kept_between(activation)
    assert _QUANTIZED_ANYWAY in operators_as_run(proto, tmp_path), "the runtime left it alone: no guard is needed"
    model = ir.from_proto(proto)
    assert guard_kept(model.graph) == 1
    guarded = ir.to_proto(model)
    checker.check_model(guarded)
    found = operators_as_run(guarded, tmp_path)
    assert _QUANTIZED_ANYWAY not in found
    assert "LeakyRelu" not in found, "the guard itself is fused away"


@pytest.mark.parametrize("activation", ["", "Relu"])
def test_the_guard_changes_no_number(activation: str) -> None:
    proto = kept_between(activation)
    model = ir.from_proto(proto)
    guard_kept(model.graph)
    x = np.random.default_rng(1).standard_normal((2, 4, 8, 8)).astype(np.float32)
    plain = ort.SessionOptions()
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    before, after = (
        ort.InferenceSession(each.SerializeToString(), plain, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for each in (proto, ir.to_proto(model))
    )
    assert np.array_equal(before, after)


def test_what_reads_floats_needs_no_guard() -> None:
    model = ir.from_proto(kept_between("Relu"))
    conv = next(node for node in model.graph if node.op_type == "Conv")
    conv.replace_input_with(0, model.graph.inputs[0])
    assert guard_kept(model.graph) == 0
