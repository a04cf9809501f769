"""Models whose weights lie in other files: gathered, inspected, changed; and no path of a model's is followed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto

import enxuto
from enxuto.errors import BadInput
from enxuto.graph import write
from enxuto.graph.file import read_model, write_model
from enxuto.model_file.external import find_weights, gather_model
from enxuto.runtimes import load_model
from enxuto.steps import FindWeights, GatherModel
from tests.support import tiny_models

WEIGHTS = "weights.bin"
MODEL, DATA = "a" * 64, "b" * 64


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A model whose weights all lie in another file."""
    path = tmp_path / "given" / "m.onnx"
    path.parent.mkdir()
    onnx.save(tiny_models.mlp(), path, save_as_external_data=True, location=WEIGHTS, size_threshold=0)
    return path


def gathered(apart: Path, out: Path) -> Path:
    out.mkdir()
    files = {MODEL: apart, DATA: apart.with_name(WEIGHTS)}
    return out / gather_model(GatherModel(model=MODEL, weights={WEIGHTS: DATA}), files, out).file


def test_a_model_is_inspected_with_the_weights_beside_it(apart: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.onnx"
    onnx.save(tiny_models.mlp(), whole)
    seen, expected = enxuto.inspect(apart), enxuto.inspect(whole)
    assert seen.parameters == expected.parameters
    assert seen.operators == expected.operators
    assert seen.size_bytes > apart.with_name(WEIGHTS).stat().st_size


def test_a_gathered_model_calls_its_weights_by_their_digest(apart: Path, tmp_path: Path) -> None:
    assert find_weights(FindWeights(model=MODEL, name="m.onnx"), {MODEL: apart}, tmp_path).paths == [WEIGHTS]
    proto = onnx.load(gathered(apart, tmp_path / "out"), load_external_data=False)
    assert {
        entry.value for one in proto.graph.initializer for entry in one.external_data if entry.key == "location"
    } == {DATA}


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "*/_ORT_MEM_ADDR_/*", "a\\b", ""])
def test_no_path_out_of_the_models_folder_is_taken(tmp_path: Path, location: str) -> None:
    with pytest.raises(BadInput) as refusal:
        find_weights(FindWeights(model=MODEL, name="m.onnx"), {MODEL: hostile(tmp_path, location, 8)}, tmp_path)
    assert refusal.value.code == "external_data"


def test_a_link_out_of_the_folder_is_not_followed(apart: Path, tmp_path: Path) -> None:
    outside = apart.with_name(WEIGHTS).rename(tmp_path / "outside.bin")
    apart.with_name(WEIGHTS).symlink_to(outside)
    with pytest.raises(BadInput, match="not below its own folder") as refusal:
        enxuto.inspect(apart)
    assert refusal.value.code == "external_data"


def test_a_link_to_a_model_finds_its_weights_beside_the_file_that_it_leads_to(apart: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.onnx"
    link.symlink_to(apart)
    assert enxuto.inspect(link).parameters == enxuto.inspect(apart).parameters


def test_links_to_a_model_and_its_weights_in_one_folder_are_followed_as_download_caches_make_them(
    apart: Path, tmp_path: Path
) -> None:
    snapshot, blobs = tmp_path / "snapshot", tmp_path / "blobs"
    snapshot.mkdir()
    apart.parent.rename(blobs)
    for name, blob in (("m.onnx", "b1"), (WEIGHTS, "b2")):
        (snapshot / name).symlink_to((blobs / name).rename(blobs / blob))
    assert enxuto.inspect(snapshot / "m.onnx").operators


def test_of_two_links_the_one_to_weights_leads_nowhere_but_to_the_models_own_folder(
    apart: Path, tmp_path: Path
) -> None:
    snapshot, secrets = tmp_path / "snapshot", tmp_path / "secrets"
    snapshot.mkdir()
    secrets.mkdir()
    (snapshot / "m.onnx").symlink_to(apart)
    (snapshot / WEIGHTS).symlink_to(apart.with_name(WEIGHTS).rename(secrets / "own.bin"))
    with pytest.raises(BadInput, match="not below its own folder"):
        enxuto.inspect(snapshot / "m.onnx")


def test_a_missing_file_is_named(apart: Path) -> None:
    apart.with_name(WEIGHTS).unlink()
    with pytest.raises(BadInput, match=f"keeps weights in .{WEIGHTS}") as refusal:
        enxuto.inspect(apart)
    assert refusal.value.code == "file_not_found"


def test_a_file_that_is_too_short_is_damage(apart: Path) -> None:
    weights = apart.with_name(WEIGHTS)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(enxuto.EnxutoError) as refusal:
        enxuto.inspect(apart)
    assert refusal.value.code == "damaged_model"


@pytest.mark.parametrize("apart_from", [1 << 10, 1 << 40], ids=["weights apart", "in parts"])
def test_a_large_model_is_written_in_parts_or_with_its_weights_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart_from: int
) -> None:
    monkeypatch.setattr(write, "_LARGE_TENSOR", 64)
    monkeypatch.setattr(write, "_WORTH_PARTS", 0)
    monkeypatch.setattr(write, "_LARGEST_FILE", write._SPARE_BYTES + apart_from)
    (tmp_path / "in.onnx").write_bytes(tiny_models.mlp().SerializeToString())
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "model.onnx"
    beside = write_model(read_model(tmp_path / "in.onnx"), path)
    assert [hashlib.sha256((path.parent / name).read_bytes()).hexdigest() for name in beside] == beside
    assert bool(beside) == (apart_from == 1 << 10)
    onnx.checker.check_model(str(path))
    x = np.random.default_rng(0).standard_normal((3, 16), dtype=np.float32)
    before, after = (load_model(one).run({"x": x})[0] for one in (tmp_path / "in.onnx", path))
    np.testing.assert_array_equal(before, after)
    assert len(ir.load(path).graph.initializers) == len(ir.load(tmp_path / "in.onnx").graph.initializers)


def hostile(tmp_path: Path, location: str, length: int) -> Path:
    model = tiny_models.mlp()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value=str(length))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path
