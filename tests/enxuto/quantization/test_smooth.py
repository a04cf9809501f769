from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.quantization.smooth import factors
from enxuto.techniques import Context, Work
from enxuto.techniques.dynamic_int8 import DynamicInt8
from enxuto.techniques.smooth_quant import SmoothQuant
from tests.support import tiny_models
from tests.support import tiny_transformers as tiny
from tests.support.batches import context, drift, outputs_of

FIRST = [
    [-0.003056482, 0.21900219, -0.3360068, -0.30044585, -0.15723862, 0.109474786],
    [-0.008088697, 0.32369578, -0.036229607, 0.10802763, -0.12337797, -0.080247484],
    [-0.39001942, -0.27037555, -0.16828938, 0.015122975, 0.16139492, 0.24495828],
    [-0.2767683, -0.17777696, 0.14828277, 0.3390045, -0.084017575, 0.30549702],
]
SECOND = [
    [-0.2570078, -0.10335428, -0.15913516, 0.35272685, -0.26461825, -0.1879301],
    [-0.28521878, -0.38234943, -0.23831105, 0.35092944, 0.18216789, 0.19786675],
    [0.021470416, -0.20930217, 0.06906936, -0.38117927, -0.29498646, -0.21046424],
    [0.25757936, 0.23936465, -0.1810561, -0.014730574, 0.26109958, 0.40585315],
]
REFERENCE = {
    0.25: [1.139424, 2.056623, 3.388297, 4.3592377, 1e-05, 2.5882344],
    0.5: [0.5063571, 1.6172225, 3.8575451, 7.2435317, 1e-05, 2.718793],
    0.75: [0.22502379, 1.2717006, 4.391779, 12.0362215, 1e-05, 2.8559377],
}


def with_outliers(proto: ModelProto) -> ModelProto:
    """Two channels of every layer normalization are 40 times as large as the others."""
    for tensor in proto.graph.initializer:
        if tensor.name.endswith("_scale"):
            array = numpy_helper.to_array(tensor).copy()
            array[:2] *= 40
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return proto


def calibrated(proto: ModelProto, folder: Path) -> Context:
    return context(folder, tiny.feeds(proto, 16, 9))


def smoothed(proto: ModelProto, folder: Path, **given: float) -> Work:
    return apply_technique(SmoothQuant(**given), Work(ir.from_proto(proto)), calibrated(proto, folder))  # type: ignore[arg-type]


def loss_in_int8(proto: ModelProto, model: ir.Model, folder: Path) -> float:
    done = apply_technique(DynamicInt8(embeddings=False), Work(model), context(folder))
    given = tiny.feeds(proto, 8, 9, seed=1)
    return drift(outputs_of(proto, given), outputs_of(done.model, given))


def test_factors_are_those_of_the_authors_code() -> None:
    """``smooth_ln_fcs`` of github.com/mit-han-lab/smoothquant at c61476d left a LayerNorm with one over these.

    Its linears were two ``Linear(6, 4)`` after ``torch.manual_seed(0)`` (torch 2.13), the peaks those below.
    """
    first = np.array(FIRST, dtype=np.float32).T
    second = np.array(SECOND, dtype=np.float32).T
    peaks = np.array([0.1, 1, 5, 20, 0, 3])
    for alpha, expected in REFERENCE.items():
        np.testing.assert_allclose(factors(peaks, [first, second], alpha), expected, rtol=1e-6)


def test_w8a8_outputs_are_no_further_off_than_with_the_authors_code(tmp_path: Path) -> None:
    """``W8A8Linear.from_float(…, "per_channel", "per_tensor")`` of the same commit: 31.63 dB before, 42.97 after.

    One product whose two loudest inputs are forty times the others. Theirs has as many levels on the empty side of
    zero as on the other; ours has 256 from end to end. A real sentence encoder: ``python -m bench.references``.
    """
    random = np.random.default_rng(3)
    data = random.standard_normal((64, 24)).astype(np.float32)
    data[:, :2] *= 40
    weight = (random.standard_normal((24, 16)) / 5).astype(np.float32)
    scales = factors(np.abs(data).max(axis=0), [weight], 0.5)
    before = in_int8(data, weight, tmp_path)
    after = in_int8(data / scales, weight * scales[:, None], tmp_path)
    assert 31.5 < before < 33.5
    assert 42.5 < after < 45
    np.testing.assert_allclose((data / scales) @ (weight * scales[:, None]), data @ weight, atol=1e-3)


def in_int8(data: np.ndarray, weight: np.ndarray, folder: Path) -> float:
    """Signal to noise of dynamic INT8, in dB."""
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 24] x) => (float[n, 16] y) { y = MatMul(x, w) }""")
    proto.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), "w"))
    done = apply_technique(DynamicInt8(), Work(ir.from_proto(proto)), context(folder))
    feeds = {"x": data.astype(np.float32)}
    return -20 * float(np.log10(drift(outputs_of(proto, feeds), outputs_of(done.model, feeds))))


def test_outputs_stay_the_same(tmp_path: Path) -> None:
    for build in (tiny.legacy, tiny.causal):
        proto = with_outliers(build())
        given = tiny.feeds(proto)
        assert drift(outputs_of(proto, given), outputs_of(smoothed(proto, tmp_path).model, given)) < 1e-5


def test_where_linears_alone_read_a_normalization_it_costs_no_operator(tmp_path: Path) -> None:
    proto = tiny.causal()
    done = smoothed(proto, tmp_path)
    assert len(list(done.model.graph)) == len(proto.graph.node)
    assert "2 within the normalization in front, 0 by a multiplication" in done.notes[0]


def test_where_a_residual_branch_reads_it_too_one_multiplication_serves_all_projections(tmp_path: Path) -> None:
    done = smoothed(tiny.legacy(), tmp_path)
    assert "0 within the normalization in front, 2 by a multiplication" in done.notes[0]


RMS = """
    <ir_version: 8, opset_import: ["" : 17]>
    gated (float[batch, sequence, 16] x) => (float[batch, sequence, 32] y) {
        squared = Pow(x, two)
        power = ReduceMean<axes = [-1]>(squared)
        safe = Add(power, epsilon)
        root = Sqrt(safe)
        inverse = Div(one, root)
        normal = Mul(x, inverse)
        gained = Mul(gain, normal)
        gate = MatMul(gained, wg)
        up = MatMul(gained, wu)
        open = Sigmoid(gate)
        y = Mul(open, up)
    }"""


def test_the_gain_of_an_rms_normalization_takes_the_factors(tmp_path: Path) -> None:
    proto = parse_model(RMS)
    random = np.random.default_rng(0)
    arrays = {"wg": random.standard_normal((16, 32)), "wu": random.standard_normal((16, 32)),
              "gain": np.where(np.arange(16) < 2, 40.0, 1.0), "two": 2.0, "one": 1.0, "epsilon": 1e-6}  # fmt: skip
    named = {name: np.array(array, dtype=np.float32) for name, array in arrays.items()}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in named.items())
    given = {"x": random.standard_normal((16, 5, 16)).astype(np.float32)}
    done = apply_technique(SmoothQuant(), Work(ir.from_proto(proto)), context(tmp_path, given))
    assert "1 within the normalization in front, 0 by a multiplication" in done.notes[0]
    assert len(list(done.model.graph)) == len(proto.graph.node)
    before = outputs_of(proto, given)
    assert drift(before, outputs_of(done.model, given)) < 1e-5
    plain = apply_technique(DynamicInt8(), Work(ir.from_proto(proto)), context(tmp_path))
    smooth = apply_technique(DynamicInt8(), done, context(tmp_path))
    assert drift(before, outputs_of(smooth.model, given)) < 0.6 * drift(before, outputs_of(plain.model, given))


def test_a_gain_that_adds_an_axis_goes_on_adding_it(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        scaled (float[batch, 32] x) => (float[1, batch, 64] y) {
            n = Softmax(x)
            m = Mul(n, gain)
            y = MatMul(m, w)
        }""")
    random = np.random.default_rng(0)
    for name, shape in {"gain": (1, 1, 32), "w": (32, 64)}.items():
        array = np.exp(random.standard_normal(shape)).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    given = {"x": random.standard_normal((16, 32)).astype(np.float32)}
    done = apply_technique(SmoothQuant(), Work(ir.from_proto(proto)), context(tmp_path, given))
    (before,), (after,) = outputs_of(proto, given), outputs_of(done.model, given)
    np.testing.assert_allclose(after, before, rtol=1e-5, strict=True)


def test_int8_loses_less_behind_it(tmp_path: Path) -> None:
    proto = with_outliers(tiny.causal())
    before = loss_in_int8(proto, ir.from_proto(proto), tmp_path)
    assert loss_in_int8(proto, smoothed(proto, tmp_path).model, tmp_path) < 0.6 * before


def test_everywhere_smooths_what_reads_an_activation_too(tmp_path: Path) -> None:
    done = smoothed(tiny.legacy(), tmp_path, everywhere=True, alpha=0.75)
    assert "4 by a multiplication" in done.notes[0]


def test_without_a_layer_normalization_it_refuses(tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    with pytest.raises(NotApplicable) as refusal:
        apply_technique(SmoothQuant(), Work(ir.from_proto(proto)), context(tmp_path, {"x": np.zeros((2, 4))}))
    assert refusal.value.code == "nothing_to_smooth"


def test_without_data_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable) as refusal:
        apply_technique(SmoothQuant(), Work(ir.from_proto(tiny.legacy())), context(tmp_path))
    assert refusal.value.code == "calibration_data_missing"
