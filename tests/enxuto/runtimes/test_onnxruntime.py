"""A model loads and runs in ONNX Runtime; what goes wrong is told in a user's words."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnx.parser import parse_model

from enxuto.errors import BadInput, OutOfCapacity
from enxuto.runtimes import LoadedModel, load_model
from enxuto.runtimes.onnxruntime import session_options
from enxuto.settings import OnnxRuntimeSettings
from enxuto.signature import TensorSpec
from tests.support import tiny_models


def loaded(tmp_path: Path, model: object, threads: int = 1) -> LoadedModel:
    return load_model(tiny_models.save(model, tmp_path / "m.onnx"), threads=threads)  # type: ignore[arg-type]


def test_a_model_is_loaded_with_its_signature_and_run(tmp_path: Path) -> None:
    model = loaded(tmp_path, tiny_models.two_in_two_out())
    assert [spec.name for spec in model.inputs] == ["left", "right"]
    assert model.outputs[1] == TensorSpec(name="product", dtype="float32", shape=["batch", 6])
    left, right = np.random.default_rng(0).standard_normal((2, 3, 6)).astype(np.float32)
    total, product = model.run({"left": left, "right": right})
    np.testing.assert_allclose((total - right) * right, product, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing_but_speed(tmp_path: Path, threads: int) -> None:
    image = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    (expected,) = loaded(tmp_path, tiny_models.convnet()).run({"image": image})
    (scores,) = loaded(tmp_path, tiny_models.convnet(), threads).run({"image": image})
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "dtype"), [("float", "float32"), ("double", "float64"), ("float16", "float16"), ("int64", "int64")]
)
def test_types_have_numpys_names(tmp_path: Path, name: str, dtype: str) -> None:
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> g ({name}[n, 2, ?] x) => ({name}[n, 2, ?] y) {{ y = Identity(x) }}'
    )
    assert loaded(tmp_path, parse_model(text)).inputs == [TensorSpec(name="x", dtype=dtype, shape=["n", 2, None])]


def test_outputs_that_are_no_tensors_are_left_out(tmp_path: Path) -> None:
    nodes = [helper.make_node("SequenceConstruct", ["x", "x"], ["twice"]), helper.make_node("Relu", ["x"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    sequence = helper.make_tensor_sequence_value_info("twice", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "g", [x], [sequence, y])
    model = loaded(tmp_path, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert [spec.name for spec in model.outputs] == ["y"]
    (positive,) = model.run({"x": np.array([-1, 2], np.float32)})
    np.testing.assert_array_equal(positive, [0, 2])


def test_a_file_that_does_not_load_is_a_finding_without_paths(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x08 not a model")
    with pytest.raises(BadInput) as caught:
        load_model(path)
    assert caught.value.code == "model_fails_to_load"
    assert str(tmp_path) not in caught.value.detail
    assert "ONNXRuntimeError" not in caught.value.detail


@pytest.mark.parametrize(
    ("feeds", "says"),
    [
        ({"x": np.zeros((2, 3), np.float32)}, "16"),
        ({"x": np.zeros((2, 16), np.int64)}, "int64"),
        ({}, "x"),
        ({"z": np.zeros(1, np.float32), "x": np.zeros((2, 16), np.float32)}, "z"),
    ],
)
def test_inputs_that_it_does_not_run_on_are_a_finding(tmp_path: Path, feeds: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        loaded(tmp_path, tiny_models.mlp()).run(feeds)
    assert caught.value.code == "model_fails_to_run"
    assert says in caught.value.detail


def test_a_model_that_asks_for_more_memory_than_any_machine_has_is_out_of_capacity(tmp_path: Path) -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (int64[2] shape) => (float[a, b] y) { y = ConstantOfShape(shape) }'
    )
    model = loaded(tmp_path, parse_model(text))
    with pytest.raises(OutOfCapacity) as caught:
        model.run({"shape": np.array([1 << 30, 1 << 24])})
    assert caught.value.code == "out_of_memory"


def test_a_call_costs_little_more_than_the_runtimes_own(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.mlp(), tmp_path / "m.onnx")
    model, session = load_model(path), ort.InferenceSession(path)
    feeds = {"x": np.zeros((1, 16), np.float32)}

    def fastest_s(call: Callable[[], object]) -> float:
        times = []
        for _ in range(2000):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
        return min(times)

    assert fastest_s(lambda: model.run(feeds)) < fastest_s(lambda: session.run(["y"], feeds)) + 5e-6


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"execution_mode": "parallel"}, "execution_mode", ort.ExecutionMode.ORT_PARALLEL),
        ({"inter_op_threads": 2}, "inter_op_num_threads", 2),
        ({"arena": False}, "enable_cpu_mem_arena", False),
        ({"memory_pattern": False}, "enable_mem_pattern", False),
        ({"graph_level": "disabled"}, "graph_optimization_level", ort.GraphOptimizationLevel.ORT_DISABLE_ALL),
        ({"graph_level": "layout"}, "graph_optimization_level", ort.GraphOptimizationLevel.ORT_ENABLE_LAYOUT),
    ],
)
def test_a_setting_reaches_the_session_and_the_model_runs_with_it(
    tmp_path: Path, settings: dict[str, object], name: str, value: object
) -> None:
    chosen = OnnxRuntimeSettings(**settings)  # type: ignore[arg-type]
    assert getattr(session_options(1, chosen), name) == value
    assert getattr(session_options(1), name) != value
    path = tiny_models.save(tiny_models.convnet(), tmp_path / "m.onnx")
    image = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    (expected,) = load_model(path).run({"image": image})
    np.testing.assert_allclose(load_model(path, chosen).run({"image": image})[0], expected, rtol=1e-4, atol=1e-5)


def test_threads_of_the_settings_go_before_those_of_the_workload(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.convnet(channels=64), tmp_path / "m.onnx")
    threads = "/proc/self/task"
    before = len(list(Path(threads).iterdir()))
    kept = load_model(path, OnnxRuntimeSettings(threads=1), threads=4)
    assert len(list(Path(threads).iterdir())) == before
    more = load_model(path, OnnxRuntimeSettings(threads=4), threads=1)
    assert len(list(Path(threads).iterdir())) == before + 3
    assert kept.outputs == more.outputs


@pytest.mark.parametrize("spinning", [True, False])
def test_threads_spin_within_a_call_or_not_as_asked(spinning: bool) -> None:
    options = session_options(2, OnnxRuntimeSettings(spinning=spinning))
    for pool in ("intra_op", "inter_op"):
        assert options.get_session_config_entry(f"session.{pool}.allow_spinning") == str(int(spinning))


_DOUBLE = """
import sys
from pathlib import Path
import numpy as np
from enxuto.runtimes import load_model
from enxuto.settings import OnnxRuntimeSettings
model = load_model(Path(sys.argv[1]), OnnxRuntimeSettings(denormals_as_zero=sys.argv[2] == "True"))
print(float(model.run({"x": np.array([5e-41], np.float32)})[0][0]))
"""


@pytest.mark.parametrize(("as_zero", "expected"), [(False, "1e-40"), (True, "0")])
def test_numbers_too_small_to_be_normal_are_zero_where_the_first_session_asks_for_it(
    tmp_path: Path, as_zero: bool, expected: str
) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n] x) => (float[n] y) { two = Constant<value = float {2.0}>() y = Mul(x, two) }"""
    path = tiny_models.save(parse_model(text), tmp_path / "m.onnx")
    ran = subprocess.run([sys.executable, "-c", _DOUBLE, str(path), str(as_zero)], capture_output=True, text=True)
    assert float(ran.stdout) == pytest.approx(float(expected), rel=1e-4, abs=0.0), ran.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_no_thread_takes_a_core_after_a_call_has_ended(tmp_path: Path, threads: int) -> None:
    """Models that are timed side by side would take the cores from each other."""
    model = loaded(tmp_path, tiny_models.convnet(channels=32), threads)
    feeds = {"image": np.zeros((32, 3, 8, 8), np.float32)}
    spent_s = []
    for _ in range(5):
        model.run(feeds)
        begun = time.process_time()
        time.sleep(0.1)
        spent_s.append(time.process_time() - begun)
    assert min(spent_s) < 0.01
