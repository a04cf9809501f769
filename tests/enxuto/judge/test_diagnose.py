"""The layer that ruins a model is named, with what is wrong there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper

from enxuto.judge.advice import Symptoms, advise
from enxuto.judge.diagnose import diagnose_model
from enxuto.judge.tensor_errors import TensorError
from enxuto.settings import OpenVinoSettings, RunSettings
from enxuto.steps import DiagnoseModel, Diagnosis, Subject
from enxuto.techniques import AnyTechnique, Context, DynamicInt8, HalfWeights, StaticInt8, WeightOnly, Work
from enxuto.workload import Workload
from tests.enxuto.judge.test_sensitivity import images, residual
from tests.support import tiny_models
from tests.support.batches import VNNI, ArrayBatches
from tests.support.tiny_samples import StepFiles

PLAIN = {"equalization": False, "rounding": "nearest", "bias_correction": False}


def with_a_stretched_range() -> ModelProto:
    """A network whose fourth convolution reads a channel that is rarely far beyond all others, and hardly uses it."""
    model = residual()
    weights = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in model.graph.initializer}
    weights["w3"][5], weights["b3"][5] = 0.0, 0.0
    weights["w3"][5, 0, 1, 1] = 600.0
    weights["w4"][:, 5] /= 3000
    weights["w5"][5], weights["b5"][5] = 0.0, 0.0
    weights["w6"][:, 5] /= 3000
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    return model


def diagnosed(
    original: ModelProto, candidate: ModelProto, arrays: dict[str, np.ndarray], folder: Path,
    settings: RunSettings | None = None,
) -> Diagnosis:  # fmt: skip
    files, out = StepFiles(folder), folder / "out"
    out.mkdir()
    digests = files.add_model(original), files.add_model(candidate)
    subject = Subject(model=digests[1]) if settings is None else Subject(model=digests[1], settings=settings)
    step = DiagnoseModel(
        original=digests[0], subject=subject, samples=files.samples(arrays), preprocessing={}, workload=Workload()
    )
    return diagnose_model(step, files, out)


def changed(model: ModelProto, technique: AnyTechnique, arrays: dict[str, np.ndarray], scratch: Path) -> ModelProto:
    context = Context(scratch, 0, ArrayBatches(arrays), VNNI)
    return ir.to_proto(technique.apply(Work(ir.from_proto(model)), context).model)


def test_the_layers_around_a_stretched_range_come_first(tmp_path: Path) -> None:
    model, arrays = with_a_stretched_range(), images(8)
    diagnosis = diagnosed(model, changed(model, StaticInt8(**PLAIN), arrays, tmp_path), arrays, tmp_path)
    first, second, *others = diagnosis.layers
    assert {first.name, second.name} == {"make_c4", "make_c6"}, "the sum carries the range on to the last convolution"
    assert (second.noise or 0) > 3 * max(each.noise or 0 for each in others)
    row = first if first.name == "make_c4" else second
    assert row.input == "r3"
    assert row.high > 100
    assert (row.channel_spread or 0) > 16
    assert "'r3'" in row.advice
    assert "equalization" in row.advice or "percentile" in row.advice
    assert (row.lost_db or 0) > 20


def test_channels_that_share_a_scale_are_named_as_the_cause(tmp_path: Path) -> None:
    model, arrays = residual(), images(8)
    for tensor in model.graph.initializer:
        if tensor.name in ("w2", "b2"):
            array = numpy_helper.to_array(tensor).copy()
            array[3] *= 300
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        elif tensor.name == "w3":
            array = numpy_helper.to_array(tensor).copy()
            array[:, 3] /= 300
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    candidate = changed(model, StaticInt8(per_channel=False, **PLAIN), arrays, tmp_path)
    rows = {each.name: each for each in diagnosed(model, candidate, arrays, tmp_path).layers}
    assert (rows["make_c2"].weight_spread or 0) > 100
    assert "per_channel" in rows["make_c2"].advice
    assert next(iter(rows)) in ("make_c2", "make_c3")


def test_channels_that_were_scaled_on_purpose_are_no_error(tmp_path: Path) -> None:
    model, arrays = residual(), images(8)
    for tensor in model.graph.initializer:
        if tensor.name == "w2":
            array = numpy_helper.to_array(tensor).copy()
            array[:8] /= 20
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    candidate = changed(model, StaticInt8(equalization=True), arrays, tmp_path)
    rows = diagnosed(model, candidate, arrays, tmp_path).layers
    assert len(rows) == 7
    assert all(each.sqnr_db is not None and each.sqnr_db > 25 for each in rows)


def test_dynamic_quantization_is_followed(tmp_path: Path) -> None:
    model = tiny_models.mlp(features=64, hidden=64)
    arrays = {"x": np.random.default_rng(2).standard_normal((16, 64)).astype(np.float32)}
    arrays["x"][:, 0] *= 200
    for tensor in model.graph.initializer:
        if tensor.name == "weight1":
            array = numpy_helper.to_array(tensor).copy()
            array[0] = 0
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    diagnosis = diagnosed(model, changed(model, DynamicInt8(), arrays, tmp_path), arrays, tmp_path)
    assert [each.tensor for each in diagnosis.layers] == ["h", "o"]
    assert diagnosis.layers[0].input == "x"
    assert "stretch" in diagnosis.layers[0].advice or "widest channel" in diagnosis.layers[0].advice


def test_few_bits_are_named_where_ranges_are_fine(tmp_path: Path) -> None:
    model = tiny_models.mlp(features=64, hidden=64)
    arrays = {"x": np.random.default_rng(2).standard_normal((16, 64)).astype(np.float32)}
    diagnosis = diagnosed(model, changed(model, WeightOnly(bits=4), arrays, tmp_path), arrays, tmp_path)
    assert {each.operator for each in diagnosis.layers} == {"MatMul"}
    assert all((each.noise or 0) > 0 for each in diagnosis.layers)


def test_a_model_with_other_names_gives_fewer_rows_and_says_so(tmp_path: Path) -> None:
    arrays = {"x": np.random.default_rng(2).standard_normal((8, 16)).astype(np.float32)}
    model = tiny_models.mlp()
    other = ir.from_proto(changed(model, DynamicInt8(), arrays, tmp_path))
    for node in other.graph:
        for output in node.outputs:
            if not output.is_graph_output():
                output.name = f"other_{output.name}"
    diagnosis = diagnosed(model, ir.to_proto(other), arrays, tmp_path)
    assert len(diagnosis.layers) <= 1
    assert "same name" in diagnosis.note


def test_the_original_itself_has_nothing_to_diagnose(tmp_path: Path) -> None:
    diagnosis = diagnosed(residual(), residual(), images(4), tmp_path)
    assert diagnosis.layers == []
    assert diagnosis.note == ""


def test_a_candidate_of_openvino_is_run_here_by_onnxruntime_and_that_is_said(tmp_path: Path) -> None:
    model, arrays = residual(), images(4)
    candidate = changed(model, StaticInt8(), arrays, tmp_path)
    assert "OpenVINO" in diagnosed(model, candidate, arrays, tmp_path, OpenVinoSettings()).note


def test_half_weights_are_followed(tmp_path: Path) -> None:
    model, arrays = residual(), images(4)
    rows = diagnosed(model, changed(model, HalfWeights(), arrays, tmp_path), arrays, tmp_path).layers
    assert rows
    assert all(each.sqnr_db is None or each.sqnr_db > 50 for each in rows)


def test_errors_are_added_up_over_batches() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal((8, 4, 6, 6)).astype(np.float32)
    noise = 0.01 * random.standard_normal(values.shape).astype(np.float32)
    values[:, 2] *= 50
    error = TensorError()
    for part in range(0, 8, 2):
        error.add(values[part : part + 2], values[part : part + 2] + noise[part : part + 2])
    expected = 10 * np.log10(np.square(values).sum() / np.square(noise).sum())
    assert error.sqnr_db == pytest.approx(expected, abs=0.01)
    assert (error.low, error.high) == (pytest.approx(values.min()), pytest.approx(values.max()))
    assert error.channel_spread == pytest.approx(50, rel=0.5)


def test_a_model_that_computes_nan_is_as_bad_as_can_be() -> None:
    error = TensorError()
    error.add(np.ones((2, 3), dtype=np.float32), np.array([[1, np.nan, 1], [1, 1, 1]], dtype=np.float32))
    assert error.sqnr_db == -150


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        ({"outlier_ratio": 40.0, "reads_integers": True}, "percentile"),
        ({"channel_spread": 200.0, "reads_integers": True}, "equalization"),
        ({"weight_spread": 200.0, "one_weight_scale": True}, "per_channel"),
        ({"weight_bits": 4}, "4 bits"),
        ({"outlier_ratio": 40.0}, "exclude"),
    ],
)
def test_advice_names_what_stands_out(seen: dict[str, float], word: str) -> None:
    healthy = {
        "input": "x", "reads_integers": False, "outlier_ratio": 1.2, "channel_spread": 2.0, "weight_spread": 1.5,
        "one_weight_scale": False, "weight_bits": None,
    }  # fmt: skip
    assert word in advise(Symptoms(**{**healthy, **seen}))


@pytest.mark.parametrize("seen", [{"reads_integers": True, "outlier_ratio": 40.0}, {"weight_bits": 4}, {}])
def test_of_a_model_that_came_quantized_no_other_ranges_are_advised(seen: dict[str, float]) -> None:
    healthy = {
        "input": "x", "reads_integers": False, "outlier_ratio": 1.2, "channel_spread": 2.0, "weight_spread": 1.5,
        "one_weight_scale": False, "weight_bits": None, "came_quantized": True,
    }  # fmt: skip
    told = advise(Symptoms(**{**healthy, **seen}))
    assert "came quantized" in told
    assert not {"percentile", "exclude", "gptq"} & set(told.replace("(", " ").replace(")", " ").split())
