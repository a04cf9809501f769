"""Datasets are transcoded in memory that does not grow with them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

_ROWS, _COLUMNS = 512, 1 << 18  # half a GiB of float32
_PROGRAM = """
import resource, sys
from pathlib import Path
from enxuto.dataset import inspect_dataset
from enxuto.steps import InspectDataset

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

path, before = Path(sys.argv[1]), peak()
found = inspect_dataset(InspectDataset(dataset="0" * 64, name=path.name), {"0" * 64: path}, Path(sys.argv[2]))
assert found.count == int(sys.argv[3]), found
print(peak() - before)
"""


def growth_mib(path: Path, out: Path) -> int:
    out.mkdir()
    command = [sys.executable, "-c", _PROGRAM, str(path), str(out), str(_ROWS)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    for file in out.iterdir():
        file.unlink()
    return int(ran.stdout)


def sparse_safetensors(path: Path) -> Path:
    size = _ROWS * _COLUMNS * 4
    header = json.dumps({"x": {"dtype": "F32", "shape": [_ROWS, _COLUMNS], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    return path


def stored_npz(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive, archive.open("x.npy", "w", force_zip64=True) as member:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (_ROWS, _COLUMNS)}
        np.lib.format.write_array_header_1_0(member, shape)
        for _ in range(_ROWS):
            member.write(bytes(_COLUMNS * 4))
    return path


@pytest.mark.parametrize("write", [sparse_safetensors, stored_npz])
def test_half_a_gigabyte_passes_through_a_few_megabytes(tmp_path: Path, write: object) -> None:
    assert callable(write)
    suffix = ".npz" if write is stored_npz else ".safetensors"
    path = write(tmp_path / f"data{suffix}")
    try:
        assert growth_mib(path, tmp_path / "out") < 48
    finally:
        path.unlink()
