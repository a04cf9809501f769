from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.external_data_helper import set_external_data
from onnx.parser import parse_model

from enxuto.errors import BadInput
from enxuto.graph import write
from enxuto.graph.file import read_model, write_model
from enxuto.graph.weights import array_of
from enxuto.measure.resident import resident_bytes
from enxuto.runtimes import load_model
from tests.support import tiny_models


def test_a_model_is_written_as_it_was_read(tmp_path: Path) -> None:
    proto = tiny_models.convnet()
    path = tiny_models.save(proto, tmp_path / "in")
    write_model(read_model(path), tmp_path / "out")
    found = onnx.load(tmp_path / "out")
    assert [node.op_type for node in found.graph.node] == [node.op_type for node in proto.graph.node]
    assert len(found.graph.initializer) == len(proto.graph.initializer)


def test_the_same_model_is_written_in_the_same_bytes(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.convnet(), tmp_path / "in")
    for name in ("a", "b"):
        write_model(read_model(path), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_shapes_of_weights_are_not_told_twice_and_those_of_others_stay(tmp_path: Path) -> None:
    proto = onnx.shape_inference.infer_shapes(tiny_models.convnet())
    inner = [info.name for info in proto.graph.value_info]
    assert inner
    write_model(read_model(tiny_models.save(proto, tmp_path / "in")), tmp_path / "out")
    assert [info.name for info in onnx.load(tmp_path / "out").graph.value_info] == inner


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInput) as refusal:
        read_model(tmp_path / "bad")
    assert refusal.value.code == "model_not_onnx"


def test_weights_in_other_files_are_read_beside_the_model_and_missed_by_name(tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    onnx.save(proto, tmp_path / "in.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = read_model(tmp_path / "in.onnx")
    assert write_model(model, tmp_path / "out.onnx") == []
    whole = {tensor.name: tensor.raw_data for tensor in onnx.load(tmp_path / "out.onnx").graph.initializer}
    assert whole == {tensor.name: tensor.raw_data for tensor in tiny_models.mlp().graph.initializer}
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(BadInput, match="weight1") as refusal:
        read_model(tmp_path / "in.onnx")
    assert refusal.value.code == "external_data"


def test_weights_of_branches_in_other_files_are_taken_in_as_well(tmp_path: Path) -> None:
    proto = tiny_models.branching()
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    data = b""
    for branch in next(node for node in proto.graph.node if node.op_type == "If").attribute:
        tensor = branch.g.initializer.add()
        tensor.CopyFrom(weights[branch.g.node[0].input[1]])
        raw = tensor.raw_data
        set_external_data(tensor, "weights.bin", len(data), len(raw))
        tensor.ClearField("raw_data")
        data += raw
    del proto.graph.initializer[:]
    (tmp_path / "weights.bin").write_bytes(data)
    path = tiny_models.save(proto, tmp_path / "in.onnx")
    (tmp_path / "alone").mkdir()
    assert write_model(read_model(path), tmp_path / "alone" / "out.onnx") == []
    x = np.ones((2, 6), dtype=np.float32)
    before, after = (load_model(one).run({"x": x})[0] for one in (path, tmp_path / "alone" / "out.onnx"))
    np.testing.assert_array_equal(before, after)


def test_types_that_cannot_be_edited_are_refused_with_a_way_out(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 1]>
        zipped (float[batch, 2] x) => (seq(map(int64, float)) y) {
            y = ai.onnx.ml.ZipMap<classlabels_int64s = [0, 1]>(x)
        }""")
    path = tiny_models.save(proto, tmp_path / "in")
    with pytest.raises(BadInput, match="Map types") as refusal:
        read_model(path)
    assert refusal.value.code == "model_not_editable"
    assert "zipmap=False" in refusal.value.hint


def test_numbers_survive(tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    write_model(read_model(tiny_models.save(proto, tmp_path / "in")), tmp_path / "out")
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "out").graph.initializer}
    for tensor in proto.graph.initializer:
        np.testing.assert_array_equal(found[tensor.name], numpy_helper.to_array(tensor))


def test_more_weights_than_a_file_holds_lie_beside_it_however_small_each_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "_LARGEST_FILE", 200_000)
    monkeypatch.setattr(write, "_SPARE_BYTES", 40_000)
    monkeypatch.setattr(write, "_WORTH_PARTS", 100_000)
    path = tiny_models.save(_chain(100), tmp_path / "in.onnx")
    (beside,) = write_model(read_model(path), tmp_path / "out.onnx")
    assert (tmp_path / beside).stat().st_size >= 100 * 4096 > (tmp_path / "out.onnx").stat().st_size
    x = {"x0": np.ones((2, 32), dtype=np.float32)}
    before, after = (load_model(one).run(x)[0] for one in (path, tmp_path / "out.onnx"))
    np.testing.assert_array_equal(before, after)


def test_a_file_in_parts_leaves_room_for_what_is_in_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "_LARGEST_FILE", 500_000)
    monkeypatch.setattr(write, "_SPARE_BYTES", 40_000)
    monkeypatch.setattr(write, "_WORTH_PARTS", 100_000)
    path = tiny_models.save(_chain(100), tmp_path / "in.onnx")
    assert write_model(read_model(path), tmp_path / "out.onnx") == []
    x = {"x0": np.ones((2, 32), dtype=np.float32)}
    before, after = (load_model(one).run(x)[0] for one in (path, tmp_path / "out.onnx"))
    np.testing.assert_array_equal(before, after)


def test_a_file_of_weights_is_opened_once_for_all_of_them(tmp_path: Path) -> None:
    onnx.save(_chain(100), tmp_path / "in.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    model = read_model(tmp_path / "in.onnx")
    total = sum(float(array_of(value).sum()) for value in model.graph.initializers.values())
    assert total == pytest.approx(100 * 32)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_memory_of_weights_in_other_files_is_given_back_once_they_are_written(tmp_path: Path) -> None:
    onnx.save(_wide(), tmp_path / "in.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    model = read_model(tmp_path / "in.onnx")
    before = resident_bytes("RssFile")
    array_of(model.graph.initializers["w"]).sum()
    assert resident_bytes("RssFile") - before > 30_000_000
    write_model(model, tmp_path / "out.onnx")
    assert resident_bytes("RssFile") - before < 4_000_000


def _chain(products: int) -> onnx.ModelProto:
    """Products of identities of 4 KiB each."""
    lines = [f"x{n + 1} = MatMul(x{n}, w{n})" for n in range(products)]
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        chain (float[batch, 32] x0) => (float[batch, 32] x{products}) {{ {chr(10).join(lines)} }}""")
    eye = np.eye(32, dtype=np.float32)
    proto.graph.initializer.extend(numpy_helper.from_array(eye, f"w{n}") for n in range(products))
    return proto


def _wide() -> onnx.ModelProto:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        wide (float[batch, 64] x) => (float[batch, 131072] y) { y = MatMul(x, w) }""")
    proto.graph.initializer.append(numpy_helper.from_array(np.ones((64, 131072), np.float32), "w"))
    return proto
