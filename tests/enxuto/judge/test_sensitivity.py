"""What each layer costs in accuracy, told by a technique's outcome and measured on real runtimes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, checker, helper, numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.judge.sensitivity import measure_sensitivity
from enxuto.search.layer_times import layer_scores
from enxuto.search.mixed import predicted_sqnr_db
from enxuto.steps import MeasureSensitivity, Sensitivity
from enxuto.techniques import AnyTechnique, Context, DynamicInt8, StaticInt8, WeightOnly, Work
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.batches import VNNI, ArrayBatches, outputs_of
from tests.support.tiny_samples import StepFiles

_SAMPLES = 24


def residual(*, loud: str = "", seed: int = 0) -> ModelProto:
    """Six convolutions, two sums and a head; the weights of one of them may have an outlier."""
    random = np.random.default_rng(seed)
    model = parse_model(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        residual (float[batch, 3, 12, 12] image) => (float[batch, 10] scores) {
            c1 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(image, w1, b1)
            r1 = Relu(c1)
            c2 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r1, w2, b2)
            r2 = Relu(c2)
            c3 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r2, w3, b3)
            s1 = Add(c3, r1)
            r3 = Relu(s1)
            c4 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r3, w4, b4)
            r4 = Relu(c4)
            c5 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r4, w5, b5)
            s2 = Add(c5, r3)
            r5 = Relu(s2)
            c6 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r5, w6, b6)
            r6 = Relu(c6)
            pooled = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(r6)
            flat = Flatten(pooled)
            scores = Gemm<transB = 1>(flat, head_weight, head_bias)
        }
        """
    )
    weights = {
        f"w{i}": random.standard_normal((16, 3 if i == 1 else 16, 3, 3)) / (6 if i == 1 else 12) for i in range(1, 7)
    }
    weights |= {f"b{i}": 0.1 * random.standard_normal(16) for i in range(1, 7)}
    weights |= {"head_weight": random.standard_normal((10, 576)) / 24, "head_bias": random.standard_normal(10)}
    if loud:
        weights[loud][:, 0, 0, 0] *= 400
    model.graph.initializer.extend(
        numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()
    )
    for node in model.graph.node:
        node.name = f"make_{node.output[0]}"
    checker.check_model(model)
    return model


def images(count: int = _SAMPLES) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(1).standard_normal((count, 3, 12, 12)).astype(np.float32)}


def measured(
    model: ModelProto, technique: AnyTechnique, arrays: dict[str, np.ndarray], folder: Path,
    before: list[AnyTechnique] | None = None, batch_size: int = 8,
) -> Sensitivity:  # fmt: skip
    files, out = StepFiles(folder), folder / "out"
    out.mkdir()
    digest = files.add_model(model)
    step = MeasureSensitivity(
        model=digest, technique=technique, before=before or [], statistics=None, samples=files.samples(arrays),
        preprocessing={}, workload=Workload(batch_size=batch_size), seed=0, instruction_sets=sorted(VNNI),
    )  # fmt: skip
    found = measure_sensitivity(step, files, out)
    assert not list(out.iterdir()), "nothing is left behind"
    return found


def sqnr_db(model: ModelProto, technique: AnyTechnique, arrays: dict[str, np.ndarray], scratch: Path) -> float:
    context = Context(scratch, 0, ArrayBatches(arrays), VNNI)
    changed = technique.apply(Work(ir.from_proto(model)), context).model
    pairs = list(zip(outputs_of(model, arrays), outputs_of(changed, arrays), strict=True))
    noise = sum(float(np.square(a - b).sum()) for a, b in pairs)
    return 10 * math.log10(sum(float(np.square(a).sum()) for a, _ in pairs) / noise)


def test_names_are_those_that_exclude_takes(tmp_path: Path) -> None:
    model = residual()
    layers = measured(model, StaticInt8(), images(), tmp_path).layers
    names = [layer.name for layer in layers if not layer.follows]
    assert names == ["make_c1", "make_c2", "make_c3", "make_c4", "make_c5", "make_c6", "make_scores"]
    context = Context(tmp_path, 0, ArrayBatches(images()), VNNI)
    with pytest.raises(NotApplicable, match="left to compute in integers"):
        StaticInt8(exclude=names).apply(Work(ir.from_proto(model)), context)


def test_sums_and_pools_stand_among_the_layers_as_what_follows_them(tmp_path: Path) -> None:
    layers = measured(residual(), StaticInt8(), images(), tmp_path).layers
    following = {layer.name for layer in layers if layer.follows}
    assert {"make_s1", "make_s2"} <= following
    assert all(layer.own_noise == 0 for layer in layers if layer.follows)
    assert sum(layer.bytes_saved for layer in layers) > 0.6 * 4 * 16 * 16 * 9 * 5


def test_noise_of_parts_adds_up_to_that_of_the_whole(tmp_path: Path) -> None:
    found = measured(residual(), StaticInt8(), images(), tmp_path)
    assert found.whole_sqnr_db is not None
    assert predicted_sqnr_db(layer_scores(found.layers)) == pytest.approx(found.whole_sqnr_db, abs=1.5)


@pytest.mark.parametrize("technique", [StaticInt8(equalization=False), StaticInt8(), StaticInt8(calibration="minmax")])
def test_the_error_of_a_mixture_is_predicted(technique: StaticInt8, tmp_path: Path) -> None:
    model, arrays = residual(), images()
    scores = layer_scores(measured(model, technique, arrays, tmp_path).layers)
    for kept in (["make_c1"], ["make_c2", "make_c3"], ["make_c4"], ["make_c1", "make_c2", "make_c6", "make_scores"]):
        mixed = technique.model_copy(update={"exclude": kept})
        assert predicted_sqnr_db(scores, kept) == pytest.approx(sqnr_db(model, mixed, arrays, tmp_path), abs=1.5), kept


def test_the_layer_with_the_outlier_costs_most(tmp_path: Path) -> None:
    found = measured(residual(loud="w4"), StaticInt8(equalization=False, rounding="nearest"), images(), tmp_path)
    own = {layer.name: layer.own_noise or 0.0 for layer in found.layers}
    assert max(own, key=own.__getitem__) == "make_c4"


def test_dynamic_and_weight_only_tell_their_layers_too(tmp_path: Path) -> None:
    model = tiny_models.mlp(features=64, hidden=64)
    arrays = {"x": np.random.default_rng(2).standard_normal((16, 64)).astype(np.float32)}
    for at, technique in enumerate([DynamicInt8(), WeightOnly(bits=4)]):
        folder = tmp_path / str(at)
        folder.mkdir()
        found = measured(model, technique, arrays, folder, batch_size=16)
        assert [layer.operator for layer in found.layers] == ["MatMul", "MatMul"]
        assert found.whole_sqnr_db is not None
        assert predicted_sqnr_db(layer_scores(found.layers)) == pytest.approx(found.whole_sqnr_db, abs=1.5)
        assert all(layer.bytes_saved > 0 for layer in found.layers)


def test_forms_that_a_technique_brings_a_graph_into_are_followed(tmp_path: Path) -> None:
    """Strided slices become convolutions before anything is quantized."""
    model, arrays = residual(), images()
    at = next(position for position, node in enumerate(model.graph.node) if node.output[0] == "pooled")
    every_second = helper.make_node("Slice", ["r6", "starts", "ends", "axes", "steps"], ["pooled"], name="make_pooled")
    del model.graph.node[at]
    model.graph.node.insert(at, every_second)
    bounds = {"starts": [0, 0], "ends": [12, 12], "axes": [2, 3], "steps": [2, 2]}
    model.graph.initializer.extend(numpy_helper.from_array(np.array(each), name) for name, each in bounds.items())
    found = measured(model, StaticInt8(), arrays, tmp_path)
    assert found.whole_sqnr_db is not None
    assert predicted_sqnr_db(layer_scores(found.layers)) == pytest.approx(found.whole_sqnr_db, abs=1.5)


def test_a_fixed_batch_larger_than_the_samples_is_filled(tmp_path: Path) -> None:
    arrays = {"image": np.random.default_rng(3).standard_normal((6, 3, 8, 8)).astype(np.float32)}
    found = measured(tiny_models.fixed_convnet(batch=4), StaticInt8(), arrays, tmp_path)
    assert found.samples == 6
    assert all(layer.noise > 0 for layer in found.layers)
