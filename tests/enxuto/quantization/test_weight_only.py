from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from enxuto.graph.apply import apply_technique
from enxuto.quantization.blocks import block_length, quantize_blocks
from enxuto.techniques import Work
from enxuto.techniques.weight_only import WeightOnly
from tests.support import tiny_models
from tests.support.batches import context, drift, outputs_of, samples_for
from tests.support.fused import kernels


def stored(proto: ModelProto, folder: Path, **given: object) -> ModelProto:
    technique = WeightOnly.model_validate({"kind": "weight_only", **given})
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(folder, samples_for(proto)))
    return ir.to_proto(done.model)


@pytest.mark.parametrize("bits", [8, 4])
def test_blocks_lose_at_most_half_a_step(bits: int) -> None:
    values = np.random.default_rng(0).standard_normal((20, 32)).astype(np.float32)
    integers, scales = quantize_blocks(values, bits, axis=1)
    error = np.abs(integers * scales - values)
    peaks = np.abs(values).max(axis=1, keepdims=True)
    assert integers.min() >= -(2 ** (bits - 1))
    assert integers.max() < 2 ** (bits - 1)
    assert np.all(error.mean(axis=1, keepdims=True) <= peaks / 2 ** (bits - 1) / 2)


def test_zeros_stay_zero() -> None:
    values = np.array([[0.0, 0.0], [0.0, 3.0]], dtype=np.float32)
    integers, scales = quantize_blocks(values, 4, axis=1)
    np.testing.assert_array_equal((integers * scales)[values == 0], 0)


@pytest.mark.parametrize(("length", "expected"), [(64, 32), (72, 24), (27, 27), (9, 9), (7, 7), (31, 31), (147, 21)])
def test_blocks_divide_what_they_are_cut_from(length: int, expected: int) -> None:
    assert block_length(length, 32) == expected


def test_four_bits_lose_no_more_than_with_onnxruntimes_own_quantizer(tmp_path: Path) -> None:
    proto = tiny_models.mlp(features=128, hidden=128, classes=64)
    samples = samples_for(proto, 64)
    theirs = MatMulNBitsQuantizer(copy.deepcopy(proto), bits=4, block_size=32, is_symmetric=True, accuracy_level=4)
    theirs.process()
    expected = outputs_of(proto, samples)
    ours = drift(expected, outputs_of(stored(proto, tmp_path, bits=4), samples))
    assert ours <= drift(expected, outputs_of(theirs.model.model, samples))


@pytest.mark.parametrize("bits", [8, 4])
def test_only_standard_operators_are_written_on_request(bits: int, tmp_path: Path) -> None:
    proto = tiny_models.mlp(hidden=256)
    found = stored(proto, tmp_path, bits=bits, kernel="standard")
    assert {opset.domain for opset in found.opset_import} == {""}
    assert kernels(found, tmp_path) == kernels(proto, tmp_path), "restored when it is loaded"
    assert found.ByteSize() < proto.ByteSize() / 2


@pytest.mark.parametrize("bits", [8, 4])
def test_the_file_shrinks_by_about_what_the_bits_say(bits: int, tmp_path: Path) -> None:
    proto = tiny_models.convnet(channels=64)
    found = stored(proto, tmp_path, bits=bits)
    assert found.ByteSize() < proto.ByteSize() * (bits + 2) / 32
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < (0.02 if bits == 8 else 0.3)
