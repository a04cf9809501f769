from __future__ import annotations

import cProfile
import pstats
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.graph.normalize import normalized
from enxuto.graph.optimize import optimized
from enxuto.graph.prove import signature
from enxuto.quantization.half import store_in_16_bits
from enxuto.techniques import Work
from enxuto.techniques.graph_optimization import GraphOptimization
from tests.support import tiny_models
from tests.support.batches import context, drift, outputs_of, samples_for


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_batch_norms_are_merged_into_convolutions() -> None:
    proto = tiny_models.convnet()
    model = optimized(ir.from_proto(proto))
    assert "BatchNormalization" not in operators(model)
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(model, samples)) < 1e-5


def test_the_note_says_what_changed(tmp_path: Path) -> None:
    done = apply_technique(GraphOptimization(), Work(ir.from_proto(tiny_models.convnet())), context(tmp_path))
    assert "BatchNormalization 1 → 0" in done.notes[0]


def test_a_graph_that_is_as_good_as_it_gets_is_refused(tmp_path: Path) -> None:
    best = optimized(ir.from_proto(tiny_models.convnet()))
    with pytest.raises(NotApplicable) as refusal:
        apply_technique(GraphOptimization(), Work(best), context(tmp_path))
    assert refusal.value.code == "graph_already_optimal"


def test_a_fold_that_would_bloat_the_file_is_left_to_the_runtime() -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        wide (float[batch, 100000] x) => (float[batch, 100000] y) {
            shape = Constant<value = int64[2] {1, 100000}>()
            one = Constant<value = float[1] {1.5}>()
            row = Expand(one, shape)
            y = Mul(x, row)
        }""")
    model = optimized(ir.from_proto(proto))
    assert ir.to_proto(model).ByteSize() < 2000


def test_weights_stored_in_16_bits_stay_so() -> None:
    model = normalized(ir.from_proto(tiny_models.mlp(hidden=64)))
    store_in_16_bits(model, "float16")
    kinds = {tensor.data_type for tensor in ir.to_proto(optimized(model)).graph.initializer if len(tensor.dims) > 1}
    assert kinds == {onnx.TensorProto.FLOAT16}


def test_a_product_and_its_bias_become_one_gemm() -> None:
    proto = tiny_models.mlp()
    model = optimized(ir.from_proto(proto))
    assert operators(model) == ["Gemm", "Relu", "Gemm"]
    assert signature(model) == signature(ir.from_proto(proto))
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(model, samples)) < 1e-6


def test_a_bias_that_is_no_row_stays_an_addition() -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        tall (float[2, 3] x) => (float[4, 2, 3] y) { p = MatMul(x, w) y = Add(p, b) }""")
    for name, shape in {"w": (3, 3), "b": (4, 2, 3)}.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.ones(shape, dtype=np.float32), name))
    assert "Add" in operators(optimized(ir.from_proto(proto)))


def test_an_opset_before_allowzero_knows_no_allowzero() -> None:
    proto = parse_model("""
        <ir_version: 7, opset_import: ["" : 11]>
        flat (float[batch, 2, 3] x) => (float[batch, 6] y) {
            shape = Shape(x)
            zero = Constant<value = int64[1] {0}>()
            one = Constant<value = int64[1] {1}>()
            batch = Slice(shape, zero, one)
            rest = Constant<value = int64[1] {6}>()
            target = Concat<axis = 0>(batch, rest)
            y = Reshape(x, target)
        }""")
    onnx.checker.check_model(ir.to_proto(optimized(ir.from_proto(proto))))


def test_control_flow_still_runs() -> None:
    proto = tiny_models.branching()
    samples = samples_for(proto)
    model = optimized(ir.from_proto(proto))
    np.testing.assert_array_equal(outputs_of(proto, samples)[0], outputs_of(model, samples)[0])


def test_the_work_grows_with_the_number_of_nodes_and_not_with_its_square() -> None:
    """Counted in calls, which no busy machine changes: four times as many for four times the nodes."""
    assert _calls_to_optimize(400) < 5 * _calls_to_optimize(100)


def _calls_to_optimize(layers: int) -> int:
    lines = [f"a{n} = Add(x{n}, one)\nx{n + 1} = Sigmoid(a{n})" for n in range(layers)]
    model = ir.from_proto(
        parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        deep (float[batch, 4] x0) => (float[batch, 4] x{layers}) <float one = {{1}}> {{ {chr(10).join(lines)} }}""")
    )
    profile = cProfile.Profile()
    profile.runcall(optimized, model)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]
