"""What was uploaded in place of an ONNX model is named, and never opened further than its head."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.support import tiny_models
from tests.support.inspection import model_finding


def zip_of(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, b"x")
    return path


@pytest.mark.parametrize(
    ("head", "code", "says"),
    [
        (b"", "empty_file", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "git_lfs_pointer", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "not_a_model", "web page"),
        (b'{"detail": "not found"}', "not_a_model", "JSON"),
        (b"import torch\n", "not_a_model", "text"),
        (b'<?xml version="1.0"?>\n<net name="m" version="11"></net>', "unsupported_format", "OpenVINO"),
        (b'<?xml version="1.0"?>\n<project/>', "not_a_model", "XML"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "unsupported_format", "HDF5"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(64), "unsupported_format", "TensorFlow Lite"),
        (b"\x1c\x00\x00\x00ORTM" + bytes(64), "unsupported_format", ".ort"),
        (b"\x93NUMPY\x01\x00" + bytes(64), "unsupported_format", "dataset"),
        (b"GGUF\x03\x00\x00\x00" + bytes(64), "unsupported_format", "GGUF"),
        (gzip.compress(b"\x08\x08", mtime=0), "archive_refused", "Unpack"),
        (bytes(range(256)) * 4, "not_a_model", "no ONNX model"),
    ],
)
def test_other_files_are_told_by_their_content(tmp_path: Path, head: bytes, code: str, says: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(head)
    finding = model_finding(path)
    assert finding.code == code
    assert says in str(finding)


@pytest.mark.parametrize(
    ("members", "code", "says"),
    [
        (("m/data.pkl", "m/code/__torch__/net.py", "m/constants.pkl"), "unsupported_format", "TorchScript"),
        (("m/models/model.json", "m/data/sample_inputs/model.pt"), "unsupported_format", "torch.export"),
        (("m/data.pkl", "m/data/0", "m/version"), "pickle_refused", "checkpoint"),
        (("config.json", "metadata.json", "model.weights.h5"), "unsupported_format", "Keras"),
        (("image.npy", "labels.npy"), "unsupported_format", "dataset"),
        (("model.onnx", "readme.txt"), "archive_refused", "Unpack"),
    ],
)
def test_zips_are_told_by_their_members(tmp_path: Path, members: tuple[str, ...], code: str, says: str) -> None:
    finding = model_finding(zip_of(tmp_path / "model.pt", *members))
    assert finding.code == code
    assert says in str(finding)


class _Tripwire:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (str(self.path),)


@pytest.mark.parametrize("name", ["weights.pt", "model.onnx"])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, name: str) -> None:
    tripped = tmp_path / "tripped"
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"state": _Tripwire(tripped)}))
    assert model_finding(path).code == "pickle_refused"
    assert not tripped.exists()


def test_safetensors_hold_weights_without_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": np.ones((2, 2), np.float32)}, path)
    finding = model_finding(path)
    assert finding.code == "unsupported_format"
    assert "without a graph" in finding.detail


def test_a_zip_whose_directory_lies_is_only_an_archive(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "model.zip", "a")
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, len(data) - 6, 1 << 30)
    path.write_bytes(data)
    assert model_finding(path).code == "archive_refused"


def test_a_zip_with_a_list_too_long_to_read_is_only_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enxuto.model_file.screening._LARGEST_DIRECTORY", 100)
    assert model_finding(zip_of(tmp_path / "m.pt", "m/data.pkl", "m/data/0", "m/version")).code == "archive_refused"


def test_an_onnx_model_under_another_name_is_asked_to_be_renamed(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.mlp(), tmp_path / "model.pb")
    assert model_finding(path).code == "wrong_extension"


def test_a_truncated_model_is_told_from_what_is_none(tmp_path: Path) -> None:
    whole = tiny_models.mlp().SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(whole[: len(whole) // 2])
    finding = model_finding(path)
    assert finding.code == "damaged_model"
    assert "cut short" in finding.detail


def test_text_that_only_looks_like_a_protocol_buffer_holds_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08\x12\x04tiny")
    finding = model_finding(path)
    assert (finding.code, json.dumps(finding.detail)) == ("not_a_model", '"model.onnx holds no ONNX graph."')
