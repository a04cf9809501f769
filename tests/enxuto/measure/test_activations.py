"""Predicted from shapes, and held against what ONNX Runtime says of its own arena."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.dataset import feeds_for
from enxuto.measure.activations import Prediction, predict_activations
from enxuto.runtimes.onnxruntime import OnnxRuntimeModel, session_options
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.workload import Workload
from tests.support.tiny_models import branching, convnet, fixed_convnet, mlp, save, tokens, two_in_two_out

FLOAT = 4


def predicted(
    folder: Path, model: ModelProto, *, batch_size: int = 8, settings: RunSettings | None = None
) -> Prediction:
    path = save(model, folder / "model.onnx")
    inputs = OnnxRuntimeModel(path, 1).inputs
    feeds = feeds_for(inputs, Workload(batch_size=batch_size, dims={"sequence": 16}), None, 0)
    shapes = {name: array.shape for name, array in feeds.items()}
    return predict_activations(path, settings or OnnxRuntimeSettings(), inputs, shapes)


def told(folder: Path, model: ModelProto, settings: OnnxRuntimeSettings, *, batch_size: int = 8) -> int:
    """Inputs, and the most that the arena had in use in one call, beyond what it had before."""
    path = save(model, folder / "model.onnx")
    workload = Workload(batch_size=batch_size, dims={"sequence": 16})
    feeds = feeds_for(OnnxRuntimeModel(path, 1).inputs, workload, None, 0)
    options = session_options(1, settings)
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(None, feeds)
    events = json.loads(Path(session.end_profiling()).read_text())
    seen = [event["args"] for event in events if "mem_bytes_requested_in_use" in event.get("args", {})]
    before = int(seen[0]["mem_bytes_requested_in_use"]) - int(seen[0]["mem_requested_in_use_delta"])
    highest = max(int(args["mem_bytes_requested_in_use"]) for args in seen)
    return highest - before + sum(array.nbytes for array in feeds.values())


@pytest.mark.parametrize(
    "model",
    [convnet(channels=16), fixed_convnet(), mlp(), two_in_two_out(), tokens()],
    ids=["convnet", "fixed", "mlp", "two", "tokens"],
)
@pytest.mark.parametrize("level", ["disabled", "basic", "extended", "all"])
def test_a_prediction_is_what_the_runtime_says_of_itself(tmp_path: Path, model: ModelProto, level: str) -> None:
    settings = OnnxRuntimeSettings.model_validate({"graph_level": level, "memory_pattern": False})
    seen = predicted(tmp_path, model, settings=settings)
    assert seen.why_not is None
    assert seen.highest_bytes == told(tmp_path, model, settings)


def chain(*lines: str) -> ModelProto:
    body = "\n".join(lines)
    return parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        chain (float[batch, 100] x) => (float[batch, 100] y) {{ {body} }}
    """)


@pytest.mark.parametrize(
    ("lines", "tensors"),
    [
        (["y = Exp(x)"], 2),
        (["a = Exp(x)", "y = Exp(a)"], 3),
        (["a = Exp(x)", "b = Relu(a)", "y = Exp(b)"], 3),  # over its input
        (["a = Exp(x)", "b = Exp(a)", "c = Exp(b)", "d = Exp(c)", "y = Exp(d)"], 3),  # two take turns
        (["a = Exp(x)", "b = Sqrt(x)", "c = Sin(x)", "y = Sum(a, b, c)"], 5),
        (["a = Exp(x)", "b = Relu(a)", "y = Add(a, b)"], 4),  # a is needed still
    ],
)
def test_tensors_alive_at_one_time_are_counted(tmp_path: Path, lines: list[str], tensors: int) -> None:
    settings = OnnxRuntimeSettings(graph_level="disabled")
    seen = predicted(tmp_path, chain(*lines), settings=settings)
    assert seen.highest_bytes == tensors * 8 * 100 * FLOAT


def test_memory_that_waits_for_a_later_tensor_of_its_shape_is_counted(tmp_path: Path) -> None:
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 18]>
        waiting (float[batch, 100] x) => (float[batch, 100] y) {
            early = Exp(x)
            highest = ReduceMax(early, axis)
            wide = Expand(highest, shape)
            sum = ReduceSum(wide, axis)
            late = Add(sum, x)
            y = Exp(late)
        }
    """)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1000], np.int64), "shape"))
    settings = OnnxRuntimeSettings(memory_pattern=False)
    seen = predicted(tmp_path, model, settings=settings)
    assert seen.highest_bytes == told(tmp_path, model, settings)
    x, early, highest, wide = 100, 100, 1, 1000
    assert seen.highest_bytes == 8 * FLOAT * (x + early + highest + wide)


def test_it_grows_with_the_batch_and_does_not_count_weights(tmp_path: Path) -> None:
    small, large = (predicted(tmp_path, mlp(hidden=512), batch_size=size).highest_bytes for size in (4, 64))
    assert small is not None
    assert large == 16 * small


def test_another_runtime_gets_the_same_estimate(tmp_path: Path) -> None:
    assert predicted(tmp_path, mlp(), settings=OpenVinoSettings()) == predicted(tmp_path, mlp())


def test_control_flow_is_not_guessed_at(tmp_path: Path) -> None:
    seen = predicted(tmp_path, branching(), batch_size=1)
    assert seen.highest_bytes is None
    assert seen.why_not == "If decides at run time what is computed"


def test_a_shape_that_depends_on_values_is_named(tmp_path: Path) -> None:
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        found (float[batch, 100] x) => (int64[rank, n] y) { positive = Relu(x) y = NonZero(positive) }
    """)
    assert predicted(tmp_path, model) == Prediction(None, "the shape of 'y' is known only at run time")


def test_axes_without_a_name_are_fixed_too(tmp_path: Path) -> None:
    model = mlp()
    model.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    named, unnamed = predicted(tmp_path, mlp()), predicted(tmp_path, model)
    assert unnamed.highest_bytes == named.highest_bytes


def test_large_weights_are_neither_read_nor_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    model = mlp(features=1024, hidden=4096)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((1024, 4096), np.float32), "weight1"))
    assert predicted(tmp_path, model).highest_bytes is not None
    assert list((tmp_path / "scratch").iterdir()) == []
