"""LSTM layers in dynamic INT8: same answers, onnxruntime's own kernel, in every form that exporters write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.techniques import StaticInt8, Work
from enxuto.techniques.dynamic_int8 import DynamicInt8
from tests.support.batches import context, drift, outputs_of

HIDDEN, INPUTS = 16, 8
FORWARD = "y, h, c = LSTM<hidden_size = 16>(x, w, r, b)"
REVERSE = 'y, h, c = LSTM<hidden_size = 16, direction = "reverse", layout = 0>(x, w, r)'
BOTH_WAYS = 'y, h, c = LSTM<hidden_size = 16, direction = "bidirectional">(x, w, r, b, lengths, h0, c0)'
IN_PIECES = """
    first = Slice(w, at0, at32, at1)
    rest = Slice(w, at32, at64, at1)
    joined = Concat<axis = 1>(first, rest)
    y, h, c = LSTM<hidden_size = 16>(x, joined, r, b)
"""
LAYERS = {"forward": FORWARD, "reverse, without a bias": REVERSE, "both ways, with states": BOTH_WAYS,
          "weights in pieces": IN_PIECES}  # fmt: skip


def model(layer: str, *, before: str = "", fed: str = "float[5, batch, 8] x") -> ModelProto:
    directions = 2 if "bidirectional" in layer else 1
    extra = ", int32[batch] lengths" if "lengths" in layer else ""
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        recurrent ({fed}{extra}) => (float[5, {directions}, batch, 16] y, float[{directions}, batch, 16] h) {{
            {before}
            {layer}
        }}""")
    random = np.random.default_rng(0)
    used = {name for node in proto.graph.node for name in node.input}
    shapes = {"w": (directions, 64, 8), "r": (directions, 64, 16), "b": (directions, 128),
              "h0": (directions, 3, 16), "c0": (directions, 3, 16), "kernel": (8, 8, 1, 1)}  # fmt: skip
    arrays = {name: random.standard_normal(shape).astype(np.float32) * 0.4 for name, shape in shapes.items()}
    arrays |= {f"at{number}": np.array([number]) for number in (0, 1, 32, 64)}
    arrays["axis2"] = np.array([2])
    proto.graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in arrays.items() if name in used)
    onnx.checker.check_model(proto)
    return proto


def feeds(proto: ModelProto) -> dict[str, np.ndarray]:
    given = {
        "x": np.random.default_rng(1).standard_normal((5, 3, INPUTS)).astype(np.float32),
        "lengths": np.array([5, 3, 1], dtype=np.int32),
    }
    return {spec.name: given[spec.name] for spec in proto.graph.input}


def quantized(proto: ModelProto, folder: Path, **given: object) -> ModelProto:
    done = apply_technique(DynamicInt8.model_validate(given), Work(ir.from_proto(proto)), context(folder))
    return ir.to_proto(done.model)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_an_lstm_computes_in_integers_and_answers_alike(layer: str, per_channel: bool, tmp_path: Path) -> None:
    proto = model(layer)
    found = quantized(proto, tmp_path, per_channel=per_channel)
    counts = Counter(node.op_type for node in found.graph.node)
    assert counts == {"DynamicQuantizeLSTM": 1}
    given = feeds(proto)
    assert drift(outputs_of(proto, given), outputs_of(found, given)) < 0.05
    weights = {tensor.name: tensor.data_type for tensor in found.graph.initializer if len(tensor.dims) == 3}
    assert sum(kind == onnx.TensorProto.INT8 for kind in weights.values()) == 2


def test_a_layer_can_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="LSTM"):
        quantized(model(FORWARD), tmp_path, exclude=["LSTM"])


def test_a_gru_has_no_integer_kernel(tmp_path: Path) -> None:
    proto = model(FORWARD.replace("LSTM", "GRU").replace("y, h, c", "y, h"))
    for tensor, size in (("w", 48), ("r", 48), ("b", 96)):
        (one,) = (each for each in proto.graph.initializer if each.name == tensor)
        array = numpy_helper.to_array(one)
        one.CopyFrom(numpy_helper.from_array(array[:, :size].copy(), tensor))
    with pytest.raises(NotApplicable) as caught:
        quantized(proto, tmp_path)
    assert caught.value.code == "nothing_to_quantize"


def test_layers_behind_convolutions_are_quantized_with_them(tmp_path: Path) -> None:
    """[sequence, batch, inputs] as an image of one row."""
    before = """
        image = Unsqueeze(z, axis2)
        wide = Conv(image, kernel)
        active = Relu(wide)
        flat = Squeeze(active, axis2)
        x = Transpose<perm = [2, 0, 1]>(flat)"""
    proto = model(FORWARD, before=before, fed="float[batch, 8, 5] z")
    given = {"z": np.random.default_rng(2).standard_normal((16, INPUTS, 5)).astype(np.float32)}
    technique = StaticInt8(recurrent=True)
    found = ir.to_proto(apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, given)).model)
    counts = Counter(node.op_type for node in found.graph.node)
    assert counts["DynamicQuantizeLSTM"] == 1
    assert not counts["LSTM"]
    assert counts["QuantizeLinear"]
    assert drift(outputs_of(proto, given), outputs_of(found, given)) < 0.1


def test_layers_count_where_convolutions_in_front_hold_next_to_nothing(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        listening (float[batch, 4, 12] x) => (float[1, batch, 96] h) {
            c = Conv<kernel_shape = [3], pads = [1, 1]>(x, kernel)
            t = Transpose<perm = [2, 0, 1]>(c)
            y, h = LSTM<hidden_size = 96>(t, w, r)
        }""")
    random = np.random.default_rng(0)
    for name, shape in {"kernel": (8, 4, 3), "w": (1, 384, 8), "r": (1, 384, 96)}.items():
        array = (random.standard_normal(shape) / 5).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    given = {"x": random.standard_normal((16, 4, 12)).astype(np.float32)}
    work = Work(ir.from_proto(proto))
    done = apply_technique(StaticInt8(recurrent=True), work, context(tmp_path, given)).model
    assert "DynamicQuantizeLSTM" in {node.op_type for node in done.graph}
    with pytest.raises(NotApplicable, match="nothing would be gained"):
        apply_technique(StaticInt8(), work, context(tmp_path, given))
