"""A file that is parsed in pieces gives the message that parsing it whole gives, and the same refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper

from enxuto.model_file.pieces import parse_in_pieces
from tests.support import tiny_models


def parsed_whole(data: bytes) -> ModelProto | None:
    try:
        return ModelProto.FromString(data)
    except DecodeError:
        return None


def parsed_in_pieces(path: Path, data: bytes) -> ModelProto | None:
    path.write_bytes(data)
    try:
        return parse_in_pieces(path)
    except DecodeError:
        return None


def large() -> ModelProto:
    model = tiny_models.convnet()
    weights = np.random.default_rng(0).standard_normal((9, 1 << 16)).astype(np.float32)
    model.graph.initializer.extend(numpy_helper.from_array(row, f"more_{at}") for at, row in enumerate(weights))
    model.graph.initializer.append(numpy_helper.from_array(weights, "larger_than_a_piece"))
    return model


@pytest.mark.parametrize("model", [tiny_models.branching(), large()])
@pytest.mark.parametrize("piece_bytes", [1, 100, 1 << 20])
def test_pieces_make_the_same_model(
    tmp_path: Path, model: ModelProto, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enxuto.model_file.pieces._PIECE_BYTES", piece_bytes)
    assert parsed_in_pieces(tmp_path / "m", model.SerializeToString()) == model


def test_a_graph_in_two_parts_is_one_graph(tmp_path: Path) -> None:
    first, second = tiny_models.mlp(), tiny_models.mlp(seed=1)
    data = first.SerializeToString() + second.SerializeToString()
    assert parsed_in_pieces(tmp_path / "m", data) == parsed_whole(data)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_damaged_files_never_become_another_model(tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(tiny_models.branching().SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = parsed_in_pieces(tmp_path / "m", bytes(damaged))
    whole = parsed_whole(bytes(damaged))
    assert whole is not None or found is None
    if whole is not None and found is not None:
        whole.DiscardUnknownFields()
        found.DiscardUnknownFields()
        assert found == whole
