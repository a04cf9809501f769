"""Products of queries and keys in integers, which OpenVINO's attention has a kernel for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.parser import parse_model

from enxuto.graph.apply import apply_technique
from enxuto.graph.file import write_model
from enxuto.machine import this_machine
from enxuto.processor import processor_of
from enxuto.quantization.calibrate import observe
from enxuto.quantization.points import points_of, prepared
from enxuto.quantization.scores import score_products
from enxuto.runtimes import load_model
from enxuto.runtimes.openvino import OpenVinoModel
from enxuto.settings import OpenVinoSettings
from enxuto.techniques import Work
from enxuto.techniques.static_int8 import StaticInt8
from tests.support import tiny_transformers
from tests.support.batches import ArrayBatches, context, drift, outputs_of

OPENVINO = OpenVinoSettings(fixed_shapes=True)


def quantized(proto: ModelProto, folder: Path, layout: str = "openvino", **given: object) -> ir.Model:
    technique = StaticInt8.model_validate({"kind": "static_int8", "layout": layout, **given})
    samples = tiny_transformers.feeds(proto, 32)
    return apply_technique(technique, Work(ir.from_proto(proto)), context(folder, samples)).model


def rounded(model: ir.Model) -> set[str]:
    """Tensors that are quantized."""
    return {str(node.inputs[0].name) for node in model.graph if node.op_type == "QuantizeLinear" and node.inputs[0]}


def causal_with_names() -> ModelProto:
    proto = tiny_transformers.causal()
    for node in proto.graph.node:
        node.name = f"{node.output[0]}_node"
    return proto


def handing_out_scores() -> ModelProto:
    proto = tiny_transformers.causal()
    proto.graph.output.append(helper.make_tensor_value_info("scaled", TensorProto.FLOAT, None))
    return proto


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (tiny_transformers.causal, ["q_scaled", "k_scaled"]),
        (tiny_transformers.legacy, ["q4", "kt"]),
        (tiny_transformers.opset_11, ["q4", "kt"]),
    ],
)
def test_whichever_way_scores_are_scaled_and_masked(make: Callable[[], ModelProto], inputs: list[str]) -> None:
    found = list(score_products(ir.from_proto(make()).graph))
    assert [[str(value.name) for value in node.inputs if value] for node in found] == [inputs]


@pytest.mark.parametrize("make", [tiny_transformers.dynamo, handing_out_scores])
def test_not_where_something_else_stands_between_or_reads_what_does(make: Callable[[], ModelProto]) -> None:
    """As the guard against rows that are masked altogether, which takes OpenVINO's kernel apart."""
    assert not list(score_products(ir.from_proto(make()).graph))


def test_both_inputs_are_signed_and_rounded_right_in_front(tmp_path: Path) -> None:
    proto = tiny_transformers.causal()
    done = quantized(proto, tmp_path)
    assert rounded(done) - rounded(quantized(proto, tmp_path, "onnxruntime")) == {"q_scaled", "k_scaled"}
    product = next(node for node in done.graph if node.outputs[0].name == "scaled")
    for value in product.inputs:
        restore = value.producer() if value else None
        assert restore is not None
        assert restore.op_type == "DequantizeLinear"
        zero = restore.inputs[2].const_value if restore.inputs[2] else None
        assert zero is not None
        assert zero.dtype == ir.DataType.INT8
        assert zero.numpy() == 0


def test_for_onnxruntime_everything_stays_as_it_is(tmp_path: Path) -> None:
    names = {"q_scaled", "k_scaled", "scaled", "probability"}
    assert not names & rounded(quantized(tiny_transformers.causal(), tmp_path, "onnxruntime"))


@pytest.mark.parametrize("given", [{"exclude": ["scaled_node"]}, {"processor": "x86_avx2"}, {"processor": "arm"}])
def test_what_is_excluded_stays_in_floats_and_so_it_does_for_other_processors(
    given: dict[str, object], tmp_path: Path
) -> None:
    found = rounded(quantized(causal_with_names(), tmp_path, **given))
    assert found
    assert not {"q_scaled", "k_scaled"} & found


def test_values_that_are_not_finite_leave_a_product_in_floats(tmp_path: Path) -> None:
    proto = tiny_transformers.causal()
    at = next(position for position, node in enumerate(proto.graph.node) if node.output[0] == "scaled")
    proto.graph.node[at].input[0] = "q_infinite"
    proto.graph.node.insert(at, helper.make_node("Div", ["q_scaled", "zero"], ["q_infinite"]))
    found = rounded(quantized(proto, tmp_path))
    assert found
    assert not {"q_infinite", "k_scaled"} & found


def of(body: str, given: str, weights: dict[str, np.ndarray]) -> ModelProto:
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        scored (float[n, {given}] x) => (float[n, {given}] y) {{ {body} }}""")
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_attention_in_another_type_is_left_in_it_and_looked_past(kind: int, tmp_path: Path) -> None:
    """Exporters do not write down what types there are in between."""
    random = np.random.default_rng(0)
    proto = of(
        f"""q = Cast<to = {kind}>(x) kt = Transpose<perm = [0, 2, 1]>(q) scores = MatMul(q, kt)
        p = Softmax(scores) o = MatMul(p, q) of = Cast<to = 1>(o) y = MatMul(of, w)""",
        "5, 8",
        {"w": random.standard_normal((8, 8)).astype(np.float32)},
    )
    samples = {"x": random.standard_normal((16, 5, 8)).astype(np.float32)}
    model = prepared(ir.from_proto(proto), context(tmp_path))
    assert observe(model, points_of(model), ArrayBatches(samples), context(tmp_path)).tensors.keys() == {"of"}
    technique = StaticInt8(kind="static_int8", layout="openvino", processor="x86_vnni")
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples)).model
    assert rounded(done) == {"of"}


def test_a_product_whose_other_reader_goes_back_to_floats_is_looked_at_then(tmp_path: Path) -> None:
    """The sum behind the first convolution is not finite, so ``x`` is the product's alone."""
    random = np.random.default_rng(0)
    shapes = {"w1": (4, 4, 1, 1), "w2": (4, 4, 1, 1), "w3": (4, 4, 1, 1)}
    proto = of(
        """c1 = Conv(x, w1) t = Div(x, mostly_ones) s = Add(c1, t) c2 = Conv(s, w2) lost = Clip(c2, zero, zero)
        bad = IsNaN(lost) none = Where(bad, zero, lost) g = Sigmoid(x) kt = Transpose<perm = [0, 1, 3, 2]>(g)
        scores = MatMul(x, kt) p = Softmax(scores) v = Tanh(x) o = MatMul(p, v) h = Conv(o, w3) y = Add(h, none)""",
        "4, 8, 8",
        {
            **{name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()},
            "mostly_ones": (np.arange(64) > 0).astype(np.float32).reshape(8, 8),
            "zero": np.float32(0),
        },
    )
    samples = {"x": random.standard_normal((16, 4, 8, 8)).astype(np.float32)}
    technique = StaticInt8(kind="static_int8", layout="openvino", processor="x86_vnni")
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples)).model
    assert {"x", "kt"} <= rounded(done)
    assert "s" not in rounded(done)
    assert drift(outputs_of(proto, samples), outputs_of(done, samples)) < 0.05


def test_one_calibration_looks_at_them_too(tmp_path: Path) -> None:
    model = prepared(ir.from_proto(tiny_transformers.causal()), context(tmp_path))
    assert {"q_scaled", "k_scaled"} <= points_of(model).keys()


@pytest.mark.parametrize("make", [tiny_transformers.causal, tiny_transformers.legacy])
def test_answers_stay_under_openvino(make: Callable[[], ModelProto], tmp_path: Path) -> None:
    proto = make()
    samples = tiny_transformers.feeds(proto, 16, seed=1)
    expected, errors = outputs_of(proto, samples), {}
    for layout in ("onnxruntime", "openvino"):
        path = tmp_path / f"{layout}.onnx"
        write_model(quantized(proto, tmp_path, layout), path)
        errors[layout] = drift(expected, load_model(path, OPENVINO).run(samples))
    assert errors["openvino"] < 0.05
    assert errors["openvino"] < 1.3 * errors["onnxruntime"]


@pytest.mark.skipif(
    processor_of(this_machine().instruction_sets) != "x86_vnni", reason="OpenVINO's attention has integers there only"
)
def test_openvino_computes_attention_with_integers(tmp_path: Path) -> None:
    proto, precisions = causal_with_names(), {}
    for layout in ("onnxruntime", "openvino"):
        path = tmp_path / f"{layout}.onnx"
        write_model(quantized(proto, tmp_path, layout), path)
        precisions[layout] = attention_precision(path, tiny_transformers.feeds(proto, 16))
    assert precisions == {"onnxruntime": "f32", "openvino": "i8"}


def attention_precision(path: Path, samples: dict[str, np.ndarray]) -> str:
    model = OpenVinoModel(path, 1, OPENVINO)
    model.run(samples)
    infos = [node.get_rt_info() for node in model.compiled.get_runtime_model().get_ordered_ops()]
    read = [{key: str(info[key].astype(str)) for key in ("originalLayersNames", "runtimePrecision")} for info in infos]
    return next(one["runtimePrecision"] for one in read if "mixed" in one["originalLayersNames"])
