"""A model loads and runs in OpenVINO as the file says it should, and what goes wrong is told in a user's words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.parser import parse_model

from enxuto.errors import BadInput, OutOfCapacity
from enxuto.machine import this_machine
from enxuto.runtimes import LoadedModel, load_model
from enxuto.runtimes.openvino import OpenVinoModel, can_compute_in
from enxuto.settings import OpenVinoSettings
from enxuto.signature import TensorSpec
from tests.support import tiny_models

_HEAD = '<ir_version: 8, opset_import: ["" : 17]>'


def loaded(tmp_path: Path, model: object, threads: int = 1, **settings: object) -> LoadedModel:
    path = tiny_models.save(model, tmp_path / "0a1b2c")  # type: ignore[arg-type]  # a blob's name has no ending
    return load_model(path, OpenVinoSettings(**settings), threads)  # type: ignore[arg-type]


def by_onnxruntime(tmp_path: Path, model: object, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return load_model(tiny_models.save(model, tmp_path / "same.onnx")).run(feeds)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 4])
def test_it_computes_what_onnxruntime_computes(tmp_path: Path, threads: int, batch: int) -> None:
    feeds = {"image": np.random.default_rng(0).standard_normal((batch, 3, 8, 8)).astype(np.float32)}
    (expected,) = by_onnxruntime(tmp_path, tiny_models.convnet(), feeds)
    (scores,) = loaded(tmp_path, tiny_models.convnet(), threads).run(feeds)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_a_model_of_a_fixed_batch_is_run_at_that_batch_alone(tmp_path: Path) -> None:
    model = loaded(tmp_path, tiny_models.fixed_convnet(batch=4))
    assert model.inputs[0].shape == [4, 3, 8, 8]
    assert model.run({"image": np.zeros((4, 3, 8, 8), np.float32)})[0].shape == (4, 10)
    with pytest.raises(BadInput, match=r"\[4, 3, 8, 8\]"):
        model.run({"image": np.zeros((3, 3, 8, 8), np.float32)})


def test_inputs_and_outputs_are_the_files_own_in_name_order_type_and_axes(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.two_in_two_out(), tmp_path / "m.onnx")
    model, same = load_model(path, OpenVinoSettings()), load_model(path)
    assert (model.inputs, model.outputs) == (same.inputs, same.outputs)
    left, right = np.random.default_rng(0).standard_normal((2, 3, 6)).astype(np.float32)
    feeds = {"right": right, "left": left}
    for mine, other in zip(model.run(feeds), same.run(feeds), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_one_value_under_several_names_is_each_of_these_outputs(tmp_path: Path) -> None:
    signature = "(float[n, 2] x, float[m] unused) => (float[n, 2] same, float[n, 2] y)"
    model = loaded(tmp_path, parse_model(f"{_HEAD} g {signature} {{ y = Relu(x) same = Identity(x) }}"))
    assert [spec.name for spec in model.inputs] == ["x", "unused"]
    same, positive = model.run({"x": np.array([[-1, 2]], np.float32), "unused": np.zeros(1, np.float32)})
    np.testing.assert_array_equal([same[0], positive[0]], [[-1, 2], [0, 2]])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("float", "float32"), ("double", "float64"), ("float16", "float16"), ("int64", "int64"), ("uint8", "uint8"),
     ("bool", "bool"), ("int8", "int8")],
)  # fmt: skip
def test_types_go_in_and_come_out_as_the_file_says(tmp_path: Path, name: str, dtype: str) -> None:
    model = loaded(tmp_path, parse_model(f"{_HEAD} g ({name}[n, 2, ?] x) => ({name}[n, 2, ?] y) {{ y = Identity(x) }}"))
    assert model.inputs == [TensorSpec(name="x", dtype=dtype, shape=["n", 2, None])]
    (out,) = model.run({"x": np.ones((3, 2, 1), dtype)})
    assert (out.dtype, out.shape) == (np.dtype(dtype), (3, 2, 1))


def test_what_a_call_gave_stays_after_the_next_call(tmp_path: Path) -> None:
    model = loaded(tmp_path, tiny_models.mlp())
    inputs = np.random.default_rng(0).standard_normal((2, 5, 16)).astype(np.float32)
    (first,) = model.run({"x": inputs[0]})
    kept = first.copy()
    model.run({"x": inputs[1]})
    np.testing.assert_array_equal(first, kept)


def test_arrays_that_cannot_be_shared_are_taken_too(tmp_path: Path) -> None:
    model = loaded(tmp_path, tiny_models.mlp())
    plain = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    (expected,) = model.run({"x": plain})
    locked = plain.copy()
    locked.flags.writeable = False
    for odd in (locked, np.asfortranarray(plain), np.repeat(plain, 2, axis=0)[::2]):
        np.testing.assert_array_equal(model.run({"x": odd})[0], expected)


@pytest.mark.parametrize(
    ("feeds", "says"),
    [
        ({"x": np.zeros((2, 3), np.float32)}, r"\['batch', 16\], and was given \[2, 3\]"),
        ({"x": np.zeros(16, np.float32)}, r"given \[16\]"),
        ({"x": np.zeros((2, 16), np.int64)}, "is float32, and was given int64"),
        ({}, r"it takes \['x'\], and was given \[\]"),
        ({"z": np.zeros((2, 16), np.float32)}, "'x' is missing"),
        ({"z": np.zeros(1, np.float32), "x": np.zeros((2, 16), np.float32)}, "'z'"),
    ],
)
def test_inputs_that_openvino_would_take_without_a_word_are_refused(
    tmp_path: Path, feeds: dict[str, np.ndarray], says: str
) -> None:
    model = loaded(tmp_path, tiny_models.mlp())
    model.run({"x": np.zeros((2, 16), np.float32)})  # what an input that is missing would be taken from
    with pytest.raises(BadInput, match=says) as caught:
        model.run(feeds)
    assert caught.value.code == "model_fails_to_run"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_that_fails_within_the_graph_is_a_finding_without_source_lines(tmp_path: Path, threads: int) -> None:
    """With one thread, OpenVINO's own plain call says nothing."""
    text = f"{_HEAD} g (float[n, k] x, float[m, l] w) => (float[a, b] y) {{ y = Add(x, w) }}"
    model = loaded(tmp_path, parse_model(text), threads)
    with pytest.raises(BadInput) as caught:
        model.run({"x": np.zeros((2, 3), np.float32), "w": np.zeros((4, 5), np.float32)})
    assert caught.value.code == "model_fails_to_run"
    assert ".cpp" not in caught.value.detail


def test_a_file_that_is_no_model_is_a_finding_without_paths(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x08 not a model")
    with pytest.raises(BadInput) as caught:
        load_model(path, OpenVinoSettings())
    assert caught.value.code == "model_fails_to_load"
    assert str(tmp_path) not in caught.value.detail
    assert ".cpp" not in caught.value.detail
    assert caught.value.detail.startswith("OpenVINO 20")


def test_an_operator_that_it_lacks_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("SequenceConstruct", ["x", "x"], ["twice"]), helper.make_node("Relu", ["x"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    sequence = helper.make_tensor_sequence_value_info("twice", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "g", [x], [sequence, y])
    with pytest.raises(BadInput, match="SequenceMark") as caught:
        loaded(tmp_path, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert caught.value.code == "model_fails_to_load"
    assert "run this one by ONNX Runtime alone" in caught.value.hint


def test_text_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'x' is text"):
        loaded(tmp_path, parse_model(f"{_HEAD} g (string[n] x) => (string[n] y) {{ y = Identity(x) }}"))


def test_a_model_that_asks_for_more_memory_than_any_machine_has_is_refused(tmp_path: Path) -> None:
    text = f"{_HEAD} g (int64[2] shape) => (float[a, b] y) {{ y = ConstantOfShape(shape) }}"
    with pytest.raises((OutOfCapacity, BadInput)) as caught:
        loaded(tmp_path, parse_model(text)).run({"shape": np.array([1 << 22, 1 << 22])})
    assert caught.value.code in ("out_of_memory", "model_fails_to_run")


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_a_precision_is_computed_in_or_refused_by_name(tmp_path: Path, precision: str) -> None:
    import openvino  # after enxuto, which keeps it from telling its makers

    feeds = {"x": np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)}
    if not can_compute_in(openvino.Core(), precision):
        with pytest.raises(BadInput, match=f"does not compute in {precision}") as caught:
            loaded(tmp_path, tiny_models.mlp(), precision=precision)
        assert caught.value.code == "precision_not_supported"
        return
    (exact,) = loaded(tmp_path, tiny_models.mlp()).run(feeds)
    (rounded,) = loaded(tmp_path, tiny_models.mlp(), precision=precision).run(feeds)
    assert 1e-5 < np.abs(rounded - exact).max() < 0.1


def test_bfloat16_is_not_imitated_where_the_processor_lacks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = this_machine()
    without = here.model_copy(
        update={"instruction_sets": [each for each in here.instruction_sets if "bf16" not in each]}
    )
    monkeypatch.setattr("enxuto.runtimes.openvino.this_machine", lambda: without)
    with pytest.raises(BadInput, match="does not compute in bf16"):
        loaded(tmp_path, tiny_models.mlp(), precision="bf16")


@pytest.mark.parametrize("settings", [{"streams": 2}, {"dynamic_quantization": True}, {"threads": 2}])
def test_every_other_setting_is_taken(tmp_path: Path, settings: dict[str, object]) -> None:
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32)}
    (expected,) = loaded(tmp_path, tiny_models.mlp()).run(feeds)
    np.testing.assert_allclose(loaded(tmp_path, tiny_models.mlp(), **settings).run(feeds)[0], expected, atol=1e-4)


def test_a_model_compiled_for_its_shapes_answers_as_before_and_takes_other_shapes_too(tmp_path: Path) -> None:
    plain, fixed = loaded(tmp_path, tiny_models.mlp()), loaded(tmp_path, tiny_models.mlp(), fixed_shapes=True)
    assert (fixed.inputs, fixed.outputs) == (plain.inputs, plain.outputs)
    for rows in (3, 3, 5, 3):
        feeds = {"x": np.random.default_rng(rows).standard_normal((rows, 16)).astype(np.float32)}
        np.testing.assert_allclose(fixed.run(feeds)[0], plain.run(feeds)[0], rtol=1e-5, atol=1e-6)


def test_it_is_compiled_once_for_calls_of_the_same_shapes(tmp_path: Path) -> None:
    model = OpenVinoModel(tiny_models.save(tiny_models.mlp(), tmp_path / "m"), 1, OpenVinoSettings(fixed_shapes=True))
    seen = []
    for rows in (3, 3, 5, 5):
        model.run({"x": np.zeros((rows, 16), np.float32)})
        seen.append(model.compiled)
        assert list(model.compiled.inputs[0].shape) == [rows, 16]
    assert (seen[0] is seen[1], seen[1] is seen[2], seen[2] is seen[3]) == (True, False, True)


def test_shapes_that_the_graph_cannot_have_are_told_and_others_answered_after(tmp_path: Path) -> None:
    text = f"{_HEAD} g (float[n, k] x, float[m, l] w) => (float[a, b] y) {{ y = Add(x, w) }}"
    model, ones = loaded(tmp_path, parse_model(text), fixed_shapes=True), np.ones((2, 3), np.float32)
    for _ in range(2):
        with pytest.raises(BadInput) as caught:
            model.run({"x": ones, "w": np.zeros((4, 5), np.float32)})
        assert caught.value.code == "model_fails_to_run"
        np.testing.assert_array_equal(model.run({"x": ones, "w": ones})[0], 2 * ones)


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


def test_nobody_is_told_that_it_was_imported(tmp_path: Path) -> None:
    program = (
        "import sys, enxuto.runtimes.openvino; print([m for m in sys.modules if m.startswith('openvino_telemetry.')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert ran.stdout.strip() == "[]", ran.stderr
    assert list(tmp_path.iterdir()) == []
