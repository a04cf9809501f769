"""Whatever bytes come: a ready inspection or a finding, and nothing else."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from enxuto.dataset import inspect_dataset
from enxuto.errors import EnxutoError
from enxuto.model_file import inspect_model
from enxuto.schema import Value
from enxuto.steps import InspectDataset, InspectModel
from tests.support import tiny_models

KEY = "0" * 64
ARRAYS = {"x": np.arange(24, dtype=np.float32).reshape(4, 6), "labels": np.arange(4)}


def npz(save: Callable[..., None]) -> bytes:
    file = io.BytesIO()
    save(file, **ARRAYS)
    return file.getvalue()


VALID = {
    "data.npz": npz(np.savez),
    "packed.npz": npz(np.savez_compressed),
    "data.safetensors": save({**ARRAYS, "h": np.ones((4, 2), ml_dtypes.bfloat16)}),
    "mlp.onnx": tiny_models.mlp(features=2, hidden=2, classes=2).SerializeToString(),
    "branching.onnx": tiny_models.branching().SerializeToString(),
}
few = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def inspected(name: str, data: bytes) -> Value | None:
    """None where there is a finding; any other exception fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            if name.endswith(".onnx"):
                return inspect_model(InspectModel(model=KEY, name=name), {KEY: path}, Path(folder))
            return inspect_dataset(InspectDataset(dataset=KEY, name=name), {KEY: path}, Path(folder))
        except EnxutoError:
            return None


@pytest.mark.parametrize("name", VALID)
def test_the_files_that_are_damaged_below_are_good_at_first(name: str) -> None:
    assert inspected(name, VALID[name]) is not None


@few
@given(st.sampled_from(list(VALID)), st.data())
def test_a_file_cut_anywhere_is_a_finding_or_still_readable(name: str, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(VALID[name]) - 1))
    inspected(name, VALID[name][:length])


@few
@given(st.sampled_from(list(VALID)), st.data())
def test_flipped_bits_are_a_finding_or_still_readable(name: str, data: st.DataObject) -> None:
    damaged = bytearray(VALID[name])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    inspected(name, bytes(damaged))


@few
@given(st.sampled_from(list(VALID)), st.data())
def test_bytes_put_in_anywhere_are_a_finding_or_still_readable(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(VALID[name])))
    inspected(name, VALID[name][:at] + data.draw(st.binary(min_size=1, max_size=64)) + VALID[name][at:])


@few
@given(st.sampled_from(["a.onnx", "a.npz", "a.safetensors"]), st.binary(max_size=512))
def test_bytes_of_no_format_are_a_finding(name: str, data: bytes) -> None:
    assert inspected(name, data) is None
