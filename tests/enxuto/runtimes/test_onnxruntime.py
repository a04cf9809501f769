"""A model loads and runs in ONNX Runtime; what goes wrong is told in a user's words."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.parser import parse_model

from enxuto.errors import BadInput, OutOfCapacity
from enxuto.runtimes import LoadedModel, load_model
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
    import onnxruntime as ort

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
