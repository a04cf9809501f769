from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from enxuto.errors import BadInput
from enxuto.graph.apply import apply_technique
from enxuto.quantization.blocks import in_blocks, nearest
from enxuto.quantization.gptq import compensated
from enxuto.quantization.hessians import hessians
from enxuto.techniques import Work
from enxuto.techniques.weight_only import WeightOnly
from tests.support import tiny_models
from tests.support.batches import context, drift, outputs_of, samples_for

OF_THE_REFERENCE = [
    (True, 32, 0.008874894, (-2.633418, -0.04800395, 0.42745233)),
    (True, 128, 0.017595703, (-2.5155377, -0.07505687, 0.30372337)),
    (False, 32, 0.005052517, (-2.688532, -0.11021787, 0.5369444)),
    (False, 128, 0.0111423535, (-2.7060077, -0.20397021, 0.6281868)),
]
"""Symmetric or not, block size, error of the outputs and the sums of the first three rows. Made by IST-DASLab/gptq's
gptq.py and quant.py with torch 2.13 on the matrix and inputs below: ``Quantizer.configure(4, perchannel=True, sym=…,
mse=False)``, inputs added 512 at a time, ``fasterquant(blocksize=128, percdamp=.01, groupsize=…)``."""


def matrix_and_inputs() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    weight = (random.standard_t(4, (48, 256)) * 0.05).astype(np.float32)
    mix = random.standard_normal((256, 256)).astype(np.float32) / 16
    inputs = random.standard_normal((800, 256)).astype(np.float32) @ mix
    return weight, inputs + random.standard_normal((800, 256)).astype(np.float32) * np.float32(0.3)


def error_of_outputs(weight: np.ndarray, inputs: np.ndarray, real: np.ndarray) -> float:
    return float(np.square(inputs @ (real - weight).T).sum() / np.square(inputs @ weight.T).sum())


@pytest.mark.parametrize(("symmetric", "block_size", "error", "sums"), OF_THE_REFERENCE)
def test_integers_are_those_of_the_reference(
    symmetric: bool, block_size: int, error: float, sums: tuple[float, ...]
) -> None:
    weight, inputs = matrix_and_inputs()
    hessian = (inputs.T @ inputs).astype(np.float64)
    found = compensated(weight, hessian, 4, block_size, symmetric=symmetric, as_reference=True)
    real = found.real().reshape(weight.shape)
    assert error_of_outputs(weight, inputs, real) == pytest.approx(error, rel=1e-3)
    # one integer that rounds the other way, as another BLAS may make it, moves a sum by a step
    np.testing.assert_allclose(real[:3].sum(axis=1), sums, atol=0.12)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("block_size", [32, 128])
def test_outputs_are_closer_than_with_the_references_levels_and_with_rounding(symmetric: bool, block_size: int) -> None:
    weight, inputs = matrix_and_inputs()
    hessian = (inputs.T @ inputs).astype(np.float64)
    ours = compensated(weight, hessian, 4, block_size, symmetric=symmetric).real().reshape(weight.shape)
    theirs = compensated(weight, hessian, 4, block_size, symmetric=symmetric, as_reference=True)
    plain = nearest(in_blocks(weight, block_size), 4, symmetric=symmetric).real().reshape(weight.shape)
    error = error_of_outputs(weight, inputs, ours)
    assert error < error_of_outputs(weight, inputs, theirs.real().reshape(weight.shape))
    assert error < 0.8 * error_of_outputs(weight, inputs, plain)


def test_inputs_that_are_always_zero_and_rows_that_blocks_do_not_divide_are_fine() -> None:
    weight, inputs = matrix_and_inputs()
    weight, inputs = weight[:, :70], inputs[:, :70].copy()
    inputs[:, 5] = 0
    found = compensated(weight, (inputs.T @ inputs).astype(np.float64), 4, 32, symmetric=True)
    real = found.real().reshape(48, 96)
    assert found.integers.shape == (48, 3, 32)
    np.testing.assert_array_equal(real[:, 70:], 0)
    assert error_of_outputs(weight, inputs, real[:, :70]) < 0.02


@pytest.mark.parametrize("block_size", [32, 128])
def test_inputs_that_calibration_never_showed_are_worth_rounding_to_the_nearest(block_size: int) -> None:
    weight, inputs = matrix_and_inputs()
    shown = inputs[:400].copy()
    shown[:, ::4] = 0
    hessian = (shown.T @ shown).astype(np.float64)
    plain = nearest(in_blocks(weight, block_size), 4, symmetric=False).real().reshape(weight.shape)
    found = compensated(weight, hessian, 4, block_size, symmetric=False).real().reshape(weight.shape)
    assert error_of_outputs(weight, shown, found) < error_of_outputs(weight, shown, plain)
    assert error_of_outputs(weight, inputs[400:], found) < 1.2 * error_of_outputs(weight, inputs[400:], plain)


def test_a_hessian_is_the_sum_over_all_samples_but_padding(tmp_path: Path) -> None:
    model = ir.from_onnx_text("""
        <ir_version: 8, opset_import: ["" : 17]>
        masked (float[batch, length, 3] x, int64[batch, length] attention_mask) => (float[batch, length, 3] y) {
            a = Relu(x)
            kept = Cast<to = 1>(attention_mask)
            y = Add(a, x)
        }""")
    values = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    mask = np.tile(np.array([1, 1, 0, 0], dtype=np.int64), (5, 1))
    samples = {"x": values, "attention_mask": mask}
    found = dict(hessians(model, {"a": 3, "x": 3}, context(tmp_path, samples)))
    real = values[:, :2].reshape(-1, 3)
    np.testing.assert_allclose(found["x"], real.T @ real, rtol=1e-5)
    np.testing.assert_allclose(found["a"], np.maximum(real, 0).T @ np.maximum(real, 0), rtol=1e-5)


def test_samples_that_are_not_finite_are_named(tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    samples = {"x": np.full((4, 16), np.inf, dtype=np.float32)}
    with pytest.raises(BadInput, match="not finite") as refusal:
        apply_technique(WeightOnly(method="gptq"), Work(ir.from_proto(proto)), context(tmp_path, samples))
    assert refusal.value.code == "values_not_finite"


def test_a_whole_model_loses_less_than_by_rounding(tmp_path: Path) -> None:
    proto = tiny_models.mlp(features=64, hidden=64, classes=32)
    samples = samples_for(proto, 256)
    samples["x"] = (samples["x"] @ np.random.default_rng(1).standard_normal((64, 64)) / 8).astype(np.float32)
    expected = outputs_of(proto, samples)
    lost = {}
    for method in ("rtn", "gptq"):
        technique = WeightOnly(bits=4, method=method)
        done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples))
        lost[method] = drift(expected, outputs_of(done.model, samples))
    assert lost["gptq"] < 0.85 * lost["rtn"]
