from __future__ import annotations

import ctypes
import mmap
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.measure.resident import resident_bytes
from enxuto.runtimes import load_model
from enxuto.runtimes.weight_maps import weight_maps
from enxuto.settings import OpenVinoSettings

_WIDTH = 2048
_WEIGHT_BYTES = 4 * _WIDTH**2
_FOLDED = 1024
"""Width of a weight that OpenVINO still computes with at load."""


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """Two products whose weights, 32 MiB together, lie in another file."""
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        wide (float[batch, {_WIDTH}] x) => (float[batch, {_WIDTH}] y) {{ h = MatMul(x, a)  y = MatMul(h, b) }}""")
    random = np.random.default_rng(0)
    drawn = {name: random.standard_normal((_WIDTH, _WIDTH), dtype=np.float32) / _WIDTH**0.5 for name in "ab"}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in drawn.items())
    onnx.save(proto, tmp_path / "one.onnx")
    onnx.save(proto, tmp_path / "apart.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    return tmp_path / "apart.onnx"


def test_openvino_keeps_no_pages_of_a_file_of_weights_that_it_has_packed(apart: Path) -> None:
    x = {"x": np.ones((2, _WIDTH), np.float32)}
    expected = load_model(apart.with_name("one.onnx"), OpenVinoSettings()).run(x)[0]
    before = resident_bytes("RssFile")
    model = load_model(apart, OpenVinoSettings())
    answers = [model.run(x)[0] for _ in range(3)]
    assert weight_maps(apart)
    assert resident_bytes("RssFile") - before < _WEIGHT_BYTES / 2
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_other_files_that_are_mapped_are_none_of_a_models(apart: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    onnx.save(onnx.load(apart), tmp_path / "elsewhere" / "alone.onnx")
    model = load_model(apart, OpenVinoSettings())
    assert model.inputs
    assert not weight_maps(tmp_path / "elsewhere" / "alone.onnx")


def test_a_library_beside_a_model_keeps_what_the_loader_wrote_into_it(tmp_path: Path) -> None:
    """Giving its pages back ends the process."""
    library = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libstdc++" in line)
    shutil.copy(library, tmp_path / "beside.so")
    assert ctypes.CDLL(str(tmp_path / "beside.so"))
    assert str(tmp_path / "beside.so") in Path("/proc/self/maps").read_text()
    assert not weight_maps(tmp_path / "model.onnx")


def test_memory_that_comes_after_weights_were_folded_is_left_alone(tmp_path: Path) -> None:
    """Nothing but the model that was read holds their map, and what is allocated next may come to lie in its place."""
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        folded (float[batch, {_FOLDED}] x) => (float[batch, {_FOLDED}] y) {{ f = Mul(w, w)  y = MatMul(x, f) }}""")
    proto.graph.initializer.append(numpy_helper.from_array(np.full((_FOLDED, _FOLDED), 2, np.float32), "w"))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    model = load_model(tmp_path / "m.onnx", OpenVinoSettings())
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    others = [mmap.mmap(-1, 1 << 20, flags=private) for _ in range(64)]  # filled from the first gap that is free
    for each in others:
        each.write(b"1")
    answer = model.run({"x": np.ones((2, _FOLDED), np.float32)})[0]
    assert [each[0] for each in others] == [ord("1")] * len(others)
    np.testing.assert_array_equal(answer, np.full((2, _FOLDED), 4 * _FOLDED, np.float32))
