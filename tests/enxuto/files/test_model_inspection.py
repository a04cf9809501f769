"""What an ONNX file says of itself, what is refused, and what is only worth knowing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.parser import parse_model

from enxuto.model_file import structure
from enxuto.signature import TensorSpec
from tests.support import tiny_models
from tests.support.inspection import model_finding, model_inspection
from tests.support.tiny_models import save


def written(tmp_path: Path, text: str, *, ir: int = 8, opsets: str = '"" : 17', **weights: np.ndarray) -> Path:
    model = parse_model(f"<ir_version: {ir}, opset_import: [{opsets}]> {text}")
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return save(model, tmp_path / "model.onnx")


def advice_codes(path: Path) -> list[str]:
    return [finding.code for finding in model_inspection(path).advice]


def test_a_model_tells_its_signature_and_size(tmp_path: Path) -> None:
    path = save(tiny_models.convnet(), tmp_path / "net.onnx")
    found = model_inspection(path)
    assert found.inputs == [TensorSpec(name="image", dtype="float32", shape=["batch", 3, 8, 8])]
    assert found.outputs == [TensorSpec(name="scores", dtype="float32", shape=["batch", 10])]
    assert found.opsets == {"ai.onnx": 17}
    assert (found.ir_version, found.producer) == (8, "tiny")
    assert found.size_bytes == path.stat().st_size
    assert found.parameters == (8 * 27 + 8) + 4 * 8 + (8 * 72 + 8) + (80 + 10)
    assert found.operators["Conv"] == 2
    assert (found.precision, found.quantized, found.control_flow, found.batch_size) == ("float32", False, False, None)
    assert found.advice == []


def test_several_symbols_and_integer_inputs_are_kept(tmp_path: Path) -> None:
    found = model_inspection(save(tiny_models.tokens(), tmp_path / "m.onnx"))
    assert found.inputs == [TensorSpec(name="tokens", dtype="int64", shape=["batch", "sequence"])]
    assert found.outputs[0].shape == ["batch", "sequence", 20]


def test_a_fixed_batch_axis_is_found(tmp_path: Path) -> None:
    assert model_inspection(save(tiny_models.fixed_convnet(batch=4), tmp_path / "m.onnx")).batch_size == 4


def test_operators_and_weights_of_subgraphs_count(tmp_path: Path) -> None:
    found = model_inspection(save(tiny_models.branching(), tmp_path / "m.onnx"))
    assert found.control_flow
    assert found.operators["MatMul"] == 2
    assert found.parameters == 36 + 36 + 1


LOCAL = '"" : 17, "local" : 1'


def test_operators_of_functions_count_and_their_calls_keep_their_domain(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        g (float[n] x) => (float[n] y) { y = local.twice(x) }
        <domain: "local", opset_import: ["" : 17]> twice (a) => (b) { c = Relu(a)  b = Relu(c) }
        """,
        opsets=LOCAL,
    )
    assert model_inspection(path).operators == {"Relu": 2, "local::twice": 1}


def test_weights_that_old_files_list_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    text = "g (float[n, 2] x, float[2, 2] w) => (float[n, 2] y) { y = MatMul(x, w) }"
    path = written(tmp_path, text, ir=3, opsets='"" : 9', w=np.ones((2, 2), np.float32))
    assert [spec.name for spec in model_inspection(path).inputs] == ["x"]


def test_outputs_that_are_maps_do_no_harm(tmp_path: Path) -> None:
    node = helper.make_node("ZipMap", ["scores"], ["named"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])
    values = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    named = helper.make_value_info("named", helper.make_sequence_type_proto(values))
    graph = helper.make_graph([node, helper.make_node("Relu", ["scores"], ["positive"])], "g", [scores], [named])
    graph.output.append(helper.make_tensor_value_info("positive", TensorProto.FLOAT, ["n", 2]))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    path = save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    found = model_inspection(path)
    assert found.outputs[0] == TensorSpec(name="named", dtype="unknown", shape=None)
    assert "outputs_not_tensors" in [finding.code for finding in found.advice]


@pytest.mark.parametrize(
    ("ir", "opsets", "text", "code", "says"),
    [
        (8, '"" : 99', "(float[n] x) => (float[n] y) { y = Relu(x) }", "unsupported_opset", "99"),
        (3, '"" : 5', "(float[n] x) => (float[n] y) { y = Relu(x) }", "unsupported_opset", "5"),
        (99, '"" : 17', "(float[n] x) => (float[n] y) { y = Relu(x) }", "unsupported_ir_version", "99"),
        (8, '"" : 17', "(float[n] x) => (float[n] y) { y = Foo(x) }", "unsupported_operator", "Foo"),
        (8, '"" : 17', "(float[n] x) => (float[n] y) { y = acme.Foo(x) }", "unsupported_operator", "acme::Foo"),
        (8, '"acme" : 1', "(float[n] x) => (float[n] y) { y = acme.Foo(x) }", "unsupported_operator", "acme::Foo"),
        (8, '"" : 17', "(bfloat16[n] x) => (bfloat16[n] y) { y = Erf(x) }", "unsupported_operator", "Erf"),
        (8, '"" : 17', "(float[n] x, int64[n] z) => (float[n] y) { y = Add(x, z) }", "model_fails_to_load", "Add"),
        (8, '"" : 17', "(float[n] x) => (float[n] y) { y = Add(x, gone) }", "model_fails_to_load", "gone"),
    ],
)
def test_what_no_runtime_here_can_load_is_refused_by_name(
    tmp_path: Path, ir: int, opsets: str, text: str, code: str, says: str
) -> None:
    finding = model_finding(written(tmp_path, f"g {text}", ir=ir, opsets=opsets))
    assert finding.code == code
    assert says in finding.detail
    assert str(tmp_path) not in finding.detail


def test_functions_that_call_themselves_are_refused_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        g (float[n] x) => (float[n] y) { y = local.f(x) }
        <domain: "local", opset_import: ["" : 17, "local" : 1]> f (a) => (b) { b = local.f(a) }
        """,
        opsets=LOCAL,
    )
    assert model_finding(path).code == "runaway_functions"


def test_functions_that_double_at_every_level_are_refused_at_once(tmp_path: Path) -> None:
    opsets = f"opset_import: [{LOCAL}]"
    levels = "".join(
        f'<domain: "local", {opsets}> f{level} (a) => (b) {{ c = local.f{level + 1}(a)  b = local.f{level + 1}(c) }}\n'
        for level in range(40)
    )
    last = f'<domain: "local", {opsets}> f40 (a) => (b) {{ b = Relu(a) }}'
    text = f"g (float[n] x) => (float[n] y) {{ y = local.f0(x) }}\n{levels}{last}"
    started = time.monotonic()
    assert model_finding(written(tmp_path, text, opsets=LOCAL)).code == "runaway_functions"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("location", ["weights.bin", "../../../../etc/passwd", "/etc/passwd", "*/_ORT_MEM_ADDR_/*"])
def test_weights_in_other_files_are_refused_and_not_followed(tmp_path: Path, location: str) -> None:
    model = tiny_models.mlp()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    finding = model_finding(save(model, tmp_path / "m.onnx"))
    assert finding.code == "external_data"
    assert tensor.name in finding.detail


def test_weights_of_a_subgraph_in_other_files_are_found_too(tmp_path: Path) -> None:
    model = tiny_models.branching()
    branch = next(node for node in model.graph.node if node.op_type == "If").attribute[0].g
    tensor = branch.initializer.add(name="hidden", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    assert model_finding(save(model, tmp_path / "m.onnx")).code == "external_data"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_among_weights_is_refused(tmp_path: Path, dtype: type[np.floating]) -> None:
    model = tiny_models.mlp()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, np.nan, 3], dtype), "broken"))
    finding = model_finding(save(model, tmp_path / "m.onnx"))
    assert finding.code == "non_finite_weights"
    assert "broken" in finding.detail


def test_nan_in_a_weight_stored_as_numbers_instead_of_bytes_is_refused(tmp_path: Path) -> None:
    model = tiny_models.mlp()
    model.graph.initializer.append(helper.make_tensor("broken", TensorProto.FLOAT, [2], [1.0, float("nan")]))
    assert model_finding(save(model, tmp_path / "m.onnx")).code == "non_finite_weights"


def test_a_mask_of_minus_infinity_is_fine(tmp_path: Path) -> None:
    model = tiny_models.mlp()
    mask = np.triu(np.full((4, 4), -np.inf, np.float32), 1)
    model.graph.initializer.append(numpy_helper.from_array(mask, "mask"))
    assert advice_codes(save(model, tmp_path / "m.onnx")) == []


def test_infinite_weights_are_worth_a_word(tmp_path: Path) -> None:
    model = tiny_models.mlp()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, np.inf], np.float32), "spilled"))
    assert advice_codes(save(model, tmp_path / "m.onnx")) == ["infinite_values"]


def test_a_tensor_whose_data_does_not_fill_its_shape_is_refused(tmp_path: Path) -> None:
    model = tiny_models.mlp()
    model.graph.initializer[0].dims[0] = 1 << 40
    assert model_finding(save(model, tmp_path / "m.onnx")).code == "damaged_model"


def test_sparse_weights_are_refused(tmp_path: Path) -> None:
    model = tiny_models.mlp()
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("at", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [8]))
    assert model_finding(save(model, tmp_path / "m.onnx")).code == "sparse_weights"


def test_precision_is_what_most_weights_are_stored_in(tmp_path: Path) -> None:
    text = "g (float[n, 8] x) => (float[n, 8] y) { f = Cast<to = 1>(w)  y = MatMul(x, f) }"
    half = written(tmp_path, text, w=np.ones((8, 8), np.float16))
    found = model_inspection(half)
    assert found.precision == "float16"
    assert [finding.code for finding in found.advice] == ["half_precision_weights"]


def test_a_quantized_model_is_told(tmp_path: Path) -> None:
    text = """
    g (float[n, 8] x) => (float[n, 8] y) { f = DequantizeLinear(w, scale)  y = MatMul(x, f) }
    """
    weights = {"w": np.ones((8, 8), np.int8), "scale": np.float32(0.1)}
    found = model_inspection(written(tmp_path, text, **weights))
    assert (found.quantized, found.precision) == (True, "integer")
    assert [finding.code for finding in found.advice] == ["already_quantized"]


def test_a_batch_baked_into_the_graph_is_found_by_running_it(tmp_path: Path) -> None:
    text = "g (float[batch, 6] x) => (float[batch, 6] y) { y = Reshape(x, shape) }"
    found = model_inspection(written(tmp_path, text, shape=np.array([2, 6])))
    assert found.batch_size == 2
    assert [finding.code for finding in found.advice] == ["baked_batch"]
    assert found.inputs[0].shape == ["batch", 6]


def test_images_of_unknown_size_are_tried_at_a_size_that_runs(tmp_path: Path) -> None:
    text = """
    g (float[batch, 1, height, width] x) => (float[batch, 1, h, w] y) { y = Conv<kernel_shape = [5, 5]>(x, w) }
    """
    assert advice_codes(written(tmp_path, text, w=np.ones((1, 1, 5, 5), np.float32))) == []


def test_a_model_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enxuto.model_file.trial._LONGEST_S", 0.3)
    text = """
    g (float[1] x) => (float[1] y) {
        go = Constant<value = bool {1}>()
        y = Loop(, go, x) <body = step (int64 i, bool running, float[1] a) => (bool still, float[1] b) {
            still = Identity(running)
            b = Relu(a)
        }>
    }
    """
    found = model_inspection(written(tmp_path, text))
    (finding,) = found.advice
    assert finding.code == "trial_failed"
    assert "did not end" in finding.detail


def test_a_model_that_takes_text_is_stored_with_a_word_on_it(tmp_path: Path) -> None:
    text = "g (string[n] x) => (string[n] y) { y = Identity(x) }"
    assert advice_codes(written(tmp_path, text)) == ["string_inputs"]


def test_an_input_too_large_to_try_is_not_tried(tmp_path: Path) -> None:
    text = "g (float[batch, 4096, 8192] x) => (float[batch, 1, 1] y) { y = ReduceSum(x, axes) }"
    (finding,) = model_inspection(written(tmp_path, text, axes=np.array([1, 2]))).advice
    assert "too large" in finding.detail


def test_inspection_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = save(tiny_models.convnet(), tmp_path / "m.onnx")
    before = path.read_bytes()
    model_inspection(path)
    assert path.read_bytes() == before
    assert onnx.load(path).graph.node


def test_a_model_that_draws_random_numbers_is_stored_with_a_word_on_it(tmp_path: Path) -> None:
    text = "g (float[n, 4] x) => (float[n, 4] y) { e = RandomNormalLike(x)  y = Add(x, e) }"
    assert advice_codes(written(tmp_path, text)) == ["random_outputs"]


def test_a_model_that_takes_sequences_is_stored_with_a_word_on_it(tmp_path: Path) -> None:
    text = "g (seq(float[n, 4]) x) => (int64 y) { y = SequenceLength(x) }"
    assert advice_codes(written(tmp_path, text)) == ["inputs_not_tensors"]


def test_a_model_without_outputs_is_refused(tmp_path: Path) -> None:
    assert model_finding(written(tmp_path, "g (float[n, 4] x) => () { y = Relu(x) }")).code == "no_outputs"


@pytest.mark.parametrize(
    ("body", "branches"),
    [
        ("h = MatMul(x, w) y = MatMul(h, w)", False),
        ("h = MatMul(x, w) s = Relu(x) r = Add(h, s) y = MatMul(r, w)", False),
        ("q = MatMul(x, w) k = MatMul(x, w) y = Add(q, k)", True),
        ("h = MatMul(x, w) q = MatMul(h, w) k = MatMul(h, w) y = Add(q, k)", True),
    ],
)
def test_products_that_do_not_wait_for_each_other_are_branches(body: str, branches: bool) -> None:
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[2, 2] x, float[2, 2] w) => (float[2, 2] y)'
    assert structure.branches(parse_model(f"{head} {{ {body} }}")) is branches
