"""Datasets are checked and transcoded into arrays that can be mapped; what is wrong with one is said."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from enxuto.signature import DatasetInspection
from tests.support import tiny_data
from tests.support.inspection import dataset_finding, dataset_inspection


def arrays_of(found: DatasetInspection, out: Path) -> dict[str, np.ndarray]:
    specs = [*found.arrays, *([found.labels] if found.labels else [])]
    return {spec.name: np.load(out / spec.file, mmap_mode="r", allow_pickle=False) for spec in specs}


def zip_of(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_transcoded_array_by_array(tmp_path: Path, save: object) -> None:
    assert callable(save)
    image = np.arange(5 * 3 * 2, dtype=np.uint8).reshape(5, 3, 2)
    path, out = tmp_path / "data.npz", tmp_path / "out"
    save(path, image=image, labels=np.arange(5))
    found = dataset_inspection(path, out=out)
    assert (found.format, found.count, found.label_kind) == ("npz", 5, "integer")
    assert [(spec.name, spec.dtype, spec.shape, spec.size_bytes) for spec in found.arrays] == [
        ("image", "uint8", [5, 3, 2], 30)
    ]
    read = arrays_of(found, out)
    np.testing.assert_array_equal(read["image"], image)
    np.testing.assert_array_equal(read["labels"], np.arange(5))
    assert {file.name for file in out.iterdir()} == {"array_0.npy", "array_1.npy"}


def test_a_safetensors_file_is_transcoded_and_bfloat16_widened(tmp_path: Path) -> None:
    path, out = tmp_path / "data.safetensors", tmp_path / "out"
    x = np.linspace(-3, 3, 8, dtype=np.float32).reshape(4, 2)
    save_file({"x": x, "h": x.astype(ml_dtypes.bfloat16), "labels": x[:, 0].copy()}, path)
    found = dataset_inspection(path, out=out)
    assert (found.format, found.count, found.label_kind) == ("safetensors", 4, "float")
    read = arrays_of(found, out)
    np.testing.assert_array_equal(read["x"], x)
    np.testing.assert_array_equal(read["h"], x.astype(ml_dtypes.bfloat16).astype(np.float32))
    assert {spec.name: spec.dtype for spec in found.arrays} == {"x": "float32", "h": "float32"}


def test_data_without_labels_has_none(tmp_path: Path) -> None:
    found = dataset_inspection(tiny_data.images(tmp_path / "data.npz", labels=False))
    assert (found.labels, found.label_kind) == (None, None)


@pytest.mark.parametrize("shape", [(7, 5), (300, 40, 9)])
def test_columns_first_and_big_endian_arrays_come_out_alike(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).standard_normal(shape)
    path, out = tmp_path / "data.npz", tmp_path / "out"
    np.savez(path, columns=np.asfortranarray(array), big=array.astype(">f8"))
    read = arrays_of(dataset_inspection(path, out=out), out)
    np.testing.assert_array_equal(read["columns"], array)
    np.testing.assert_array_equal(read["big"], array)
    assert read["columns"].flags.c_contiguous
    assert read["big"].dtype == np.dtype("<f8")


def test_an_array_may_be_called_as_an_input_with_a_slash(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "data.npz", ("serving/x:0.npy", npy(np.ones((2, 2)))))
    assert [spec.name for spec in dataset_inspection(path).arrays] == ["serving/x:0"]


def test_labels_of_pairs_are_kept(tmp_path: Path) -> None:
    path = tiny_data.write(tmp_path / "d.npz", {"x": np.ones((6, 2)), "labels": np.ones(3)})
    found = dataset_inspection(path)
    assert found.count == 6
    assert found.labels is not None
    assert found.labels.shape == [3]


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_single_number_stands_beside_arrays_that_count_samples(tmp_path: Path, suffix: str) -> None:
    path, out = tmp_path / f"data.{suffix}", tmp_path / "out"
    arrays = {"t": np.array(0.5, np.float32), "x": np.ones((6, 2), np.float32), "labels": np.arange(6)}
    tiny_data.write(path, arrays) if suffix == "npz" else save_file(arrays, path)
    found = dataset_inspection(path, out=out)
    assert found.count == 6
    assert {spec.name: (spec.shape, spec.size_bytes) for spec in found.arrays} == {"t": ([], 4), "x": ([6, 2], 48)}
    read = arrays_of(found, out)["t"]
    assert (read.shape, float(read)) == ((), 0.5)


def test_a_single_number_that_says_its_columns_come_first_is_read_all_the_same(tmp_path: Path) -> None:
    header = npy(np.array(0.5)).replace(b"'fortran_order': False", b"'fortran_order': True ")
    path, out = zip_of(tmp_path / "d.npz", ("x.npy", npy(np.ones(3))), ("t.npy", header)), tmp_path / "out"
    assert float(arrays_of(dataset_inspection(path, out=out), out)["t"]) == 0.5


@pytest.mark.parametrize(
    ("arrays", "code", "says"),
    [
        ({"x": np.ones((4, 2)), "y": np.ones((5, 2))}, "sample_counts_differ", "x 4, y 5"),
        ({"x": np.ones((4, 2)), "labels": np.ones(3)}, "sample_counts_differ", "labels 3"),
        ({"x": np.ones((0, 2))}, "no_samples", "'x'"),
        ({"x": np.ones((3, 0))}, "no_samples", "'x'"),
        ({"x": np.float32(1)}, "scalar_array", "'x'"),
        ({"x": np.ones(3), "labels": np.float32(1)}, "scalar_array", "'labels'"),
        ({"x": np.float32(1), "labels": np.ones(3)}, "scalar_array", "'x'"),
        ({"x": np.ones((4, 2)), "t": np.ones(1)}, "sample_counts_differ", "x 4, t 1"),
        ({"x": np.ones((4, 2)), "t": np.float32("nan")}, "nan_in_data", "'t'"),
        ({"labels": np.ones(3)}, "no_arrays", "input"),
        ({"x": np.array([[1.0], [np.nan]])}, "nan_in_data", "[1, 0]"),
        ({"x": np.ones(2), "labels": np.array([np.nan, 1])}, "nan_in_data", "'labels'"),
        ({"x": np.array(["a", "b"])}, "unsupported_dtype", "<U1"),
        ({"x": np.ones(2, np.complex64)}, "unsupported_dtype", "complex64"),
        ({"x": np.ones(2, np.longdouble)}, "unsupported_dtype", "128"),
        ({f"x{number}": np.ones(1) for number in range(257)}, "too_many_arrays", "257"),
    ],
)
def test_what_is_wrong_with_the_arrays_is_said(
    tmp_path: Path, arrays: dict[str, np.ndarray], code: str, says: str
) -> None:
    finding = dataset_finding(tiny_data.write(tmp_path / "data.npz", arrays))
    assert finding.code == code
    assert says in finding.detail


def test_nan_is_found_where_it_is_in_columns_first_too(tmp_path: Path) -> None:
    array = np.asfortranarray(np.zeros((4, 3)))
    array[2, 1] = np.nan
    finding = dataset_finding(tiny_data.write(tmp_path / "data.npz", {"x": array}))
    assert "first at [2, 1]" in finding.detail


def test_an_object_array_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    tripped = tmp_path / "tripped"

    class Tripwire:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tripped,)

    path = zip_of(tmp_path / "data.npz", ("x.npy", npy(np.array([Tripwire()]), allow_pickle=True)))
    finding = dataset_finding(path)
    assert finding.code == "unsupported_dtype"
    assert "unpickling" in finding.detail
    assert not tripped.exists()


@pytest.mark.parametrize("name", ["../x.npy", "/etc/x.npy", "a/../../x.npy", "..\\x.npy", "x.txt", "folder/", ".npy"])
def test_a_member_that_is_no_arrays_name_is_refused(tmp_path: Path, name: str) -> None:
    path = zip_of(tmp_path / "data.npz", ("good.npy", npy(np.ones(2))), (name, npy(np.ones(2))))
    assert dataset_finding(path).code == "bad_array_name"


@pytest.mark.parametrize("name", ["", "line\nbreak", "x" * 300])
def test_a_tensors_name_must_be_one_that_can_be_shown(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.safetensors"
    save_file({name: np.ones(2)}, path)
    assert dataset_finding(path).code == "bad_array_name"


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_of(tmp_path / "data.npz", ("x.npy", npy(np.ones(2))), ("x.npy", npy(np.zeros(2))))
    assert dataset_finding(path).code == "duplicate_array"


def test_members_packed_otherwise_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "data.npz", ("x.npy", npy(np.ones(2))), method=zipfile.ZIP_LZMA)
    assert dataset_finding(path).code == "unsupported_compression"


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    header = io.BytesIO()
    count = (1 << 30) // 8
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (count,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        member.write(header.getvalue())
        for _ in range(1 << 10):
            member.write(bytes(1 << 20))
    finding = dataset_finding(path)
    assert finding.code == "suspicious_compression"


def test_small_data_may_be_all_zeros(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=np.zeros((1000, 1000), np.float32))
    assert dataset_inspection(path).count == 1000


def test_a_shape_that_the_bytes_do_not_fill_is_refused(tmp_path: Path) -> None:
    data = npy(np.ones((4, 2))).replace(b"(4, 2)", b"(9, 2)")
    finding = dataset_finding(zip_of(tmp_path / "data.npz", ("x.npy", data)))
    assert finding.code == "damaged_dataset"
    assert "[9, 2]" in finding.detail


def test_a_zip_with_a_list_too_long_to_read_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "data.npz", *((f"{number:0>1000}.npy", b"") for number in range(1100)))
    assert dataset_finding(path).code == "too_many_arrays"


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("data.npz", b"", "empty_file"),
        ("data.npz", b"version https://git-lfs.github.com/spec/v1\n", "git_lfs_pointer"),
        ("data.npz", b"a,b,c\n1,2,3\n", "not_a_dataset"),
        ("data.npy", npy(np.ones(3)), "unsupported_format"),
        ("data.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{", "damaged_dataset"),
        ("data.safetensors", (8).to_bytes(8, "little") + b"{'a': 1}", "damaged_dataset"),
        ("data.npz", b"PK\x03\x04" + bytes(100), "damaged_dataset"),
    ],
)
def test_files_that_are_no_dataset_are_told(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert dataset_finding(path).code == code


def test_the_name_must_fit_the_content(tmp_path: Path) -> None:
    path = tiny_data.features(tmp_path / "data.safetensors")
    finding = dataset_finding(path)
    assert finding.code == "wrong_extension"
    assert ".npz" in finding.detail


def test_a_truncated_npz_is_refused(tmp_path: Path) -> None:
    path = tiny_data.features(tmp_path / "data.npz")
    path.write_bytes(path.read_bytes()[:-40])
    assert dataset_finding(path).code == "damaged_dataset"


def test_flipped_bits_in_the_elements_are_found_by_the_checksum(tmp_path: Path) -> None:
    path = tiny_data.write(tmp_path / "data.npz", {"x": np.zeros(1000, np.uint8)})
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    finding = dataset_finding(path)
    assert finding.code == "damaged_dataset"
    assert "CRC" in finding.detail
