"""The whole step: a recipe in, one proven file out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto
from onnx.parser import parse_model

from enxuto.errors import BadInput, NotApplicable
from enxuto.graph import transform
from enxuto.graph.transform import apply_recipe
from enxuto.steps import Applied, ApplyRecipe, Samples
from enxuto.techniques import AnyTechnique, Context, Work
from enxuto.techniques.graph_optimization import GraphOptimization
from enxuto.techniques.half_weights import HalfWeights
from enxuto.techniques.magnitude_pruning import MagnitudePruning
from enxuto.techniques.static_int8 import StaticInt8
from enxuto.techniques.weight_only import WeightOnly
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.batches import drift, outputs_of, samples_for

PRUNED_INT8: list[AnyTechnique] = [GraphOptimization(), MagnitudePruning(ratio=0.3), StaticInt8()]


@pytest.fixture
def apply(tmp_path: Path) -> Callable[..., tuple[Applied, Path]]:
    """Applies a recipe to a model, with its samples as calibration data where they are wanted."""
    files: dict[str, Path] = {}

    def added(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        files[digest] = tmp_path / digest
        files[digest].write_bytes(content)
        return digest

    def array(values: np.ndarray) -> str:
        np.save(tmp_path / "array.npy", values)
        return added((tmp_path / "array.npy").read_bytes())

    def run(
        proto: ModelProto, recipe: list[AnyTechnique], *, data: bool = True, out: str = "out", **given: Any
    ) -> tuple[Applied, Path]:
        arrays = {name: array(values) for name, values in samples_for(proto, 32).items()} if data else {}
        samples = Samples(arrays=arrays, labels=None, count=32, start=0, stop=24, seed=0) if data else None
        model = added(proto.SerializeToString())
        step = ApplyRecipe(model=model, recipe=recipe, calibration=samples, preprocessing={}, seed=0, **given)
        folder = tmp_path / out
        folder.mkdir()
        done = apply_recipe(step, files, folder)
        assert [path.name for path in folder.iterdir()] == [done.file]
        return done, folder / done.file

    return run


def test_techniques_are_applied_in_their_order(apply: Callable[..., tuple[Applied, Path]]) -> None:
    proto = tiny_models.convnet(channels=32)
    done, path = apply(proto, PRUNED_INT8)
    assert [note.partition(":")[0] for note in done.notes] == ["graph_optimization", "magnitude_pruning", "static_int8"]
    assert done.size_bytes == path.stat().st_size < proto.ByteSize() / 2
    samples = samples_for(proto, 8, seed=1)
    assert drift(outputs_of(proto, samples), outputs_of(onnx.load(path), samples)) < 1


def test_the_same_step_writes_the_same_bytes(apply: Callable[..., tuple[Applied, Path]]) -> None:
    proto = tiny_models.convnet(channels=16)
    _, first = apply(proto, PRUNED_INT8, out="first")
    _, second = apply(proto, PRUNED_INT8, out="second")
    assert first.read_bytes() == second.read_bytes()


def test_the_processor_that_is_meant_decides_the_integers(apply: Callable[..., tuple[Applied, Path]]) -> None:
    proto = tiny_models.convnet(channels=16)
    _, vnni = apply(proto, [StaticInt8()], out="vnni", instruction_sets=["avx512_vnni"])
    _, arm = apply(proto, [StaticInt8()], out="arm", instruction_sets=["asimd"])
    stored = [{tensor.data_type for tensor in onnx.load(path).graph.initializer} for path in (vnni, arm)]
    assert onnx.TensorProto.UINT8 in stored[0]
    assert onnx.TensorProto.UINT8 not in stored[1]


def test_a_recipe_without_data_runs_where_none_is_needed(apply: Callable[..., tuple[Applied, Path]]) -> None:
    done, _ = apply(tiny_models.tokens(), [HalfWeights()], data=False)
    assert done.notes


def test_a_technique_that_needs_data_says_so(apply: Callable[..., tuple[Applied, Path]]) -> None:
    with pytest.raises(NotApplicable, match=r"static_int8: .*the job brings none") as refusal:
        apply(tiny_models.convnet(), [StaticInt8()], data=False)
    assert refusal.value.code == "calibration_data_missing"


def test_a_refusal_names_the_technique_that_refused(apply: Callable[..., tuple[Applied, Path]]) -> None:
    with pytest.raises(NotApplicable, match=r"^weight_only: The model is quantized already"):
        apply(tiny_models.convnet(channels=16), [StaticInt8(), WeightOnly()])


def test_a_model_that_does_not_run_is_at_fault_itself(apply: Callable[..., tuple[Applied, Path]]) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        baked (float[batch, 4] x) => (float[batch, 4] y) {
            shape = Constant<value = int64[2] {2, 4}>()
            same = Reshape(x, shape)
            y = MatMul(same, w)
        }""")
    weight = np.ones((4, 4), dtype=np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    with pytest.raises(BadInput) as refusal:
        apply(proto, [MagnitudePruning(threshold=2.0)])
    assert refusal.value.code == "model_fails_to_run"
    apply(proto, [MagnitudePruning(threshold=2.0)], out="pairs", workload=Workload(batch_size=2))


HEADER = '<ir_version: 8, opset_import: ["" : 17]>'


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ("g (float[n] x) => (float[n] y) { y = Nonsense(x) }", "output_invalid"),
        ("g (float[n] x) => (float[n] z) { z = Relu(x) }", "output_signature_changed"),
        ("g (double[n] x) => (float[n] y) { y = Cast<to = 1>(x) }", "output_signature_changed"),
        ("g (float[n] x) => (float[n] y) { s = Constant<value = int64[1] {7}>() y = Reshape(x, s) }",
         "output_fails_to_run"),
    ],
)  # fmt: skip
def test_an_outcome_that_is_no_such_model_is_refused(
    broken: str, code: str, apply: Callable[..., tuple[Applied, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No technique here goes so wrong, so one that does is put in its place."""

    def ruin(technique: AnyTechnique, work: Work, context: Context) -> Work:
        return work.with_model(ir.from_proto(parse_model(HEADER + broken)))

    monkeypatch.setattr(transform, "apply_technique", ruin)
    proto = parse_model(HEADER + "g (float[n] x) => (float[n] y) { y = Relu(x) }")
    with pytest.raises(BadInput) as refusal:
        apply(proto, [GraphOptimization()])
    assert refusal.value.code == code
