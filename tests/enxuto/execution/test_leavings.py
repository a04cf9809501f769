"""A child's leavings are taken only where they are plain files within limits."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from enxuto.errors import StepCrashed
from enxuto.execution.files import FolderFiles
from enxuto.execution.leavings import collect, read_document
from enxuto.execution.limits import Limits


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    return FolderFiles(tmp_path / "files")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("not yours")
    return tmp_path / "secret"


def _pipe(at: Path, secret: Path) -> None:
    os.mkfifo(at)


def _socket(at: Path, secret: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(at))


ODD: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda at, secret: at.symlink_to(secret),
    "link to a folder": lambda at, secret: at.symlink_to(secret.parent),
    "second name of a file": lambda at, secret: at.hardlink_to(secret),
    "pipe": _pipe,
    "socket": _socket,
}


def test_plain_files_are_kept_by_their_paths(out: Path, files: FolderFiles) -> None:
    (out / "model.onnx").write_bytes(b"model")
    (out / "raw").mkdir()
    (out / "raw" / "calls.npz").write_bytes(b"calls")
    kept = collect(out, ["model.onnx"], files, Limits())
    assert {name: files.path(digest).read_bytes() for name, digest in kept.items()} == {
        "model.onnx": b"model",
        "raw/calls.npz": b"calls",
    }


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_nothing_but_a_plain_file_is_taken(
    make: Callable[[Path, Path], object], out: Path, secret: Path, files: FolderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out)  # a socket's path must be short
    make(Path("odd"), secret)
    with pytest.raises(StepCrashed, match="not a plain file"):
        collect(out, [], files, Limits())


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_nothing_but_a_plain_file_is_read_as_a_result(
    make: Callable[[Path, Path], object], out: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out)
    make(Path("result.json"), secret)
    with pytest.raises(StepCrashed):
        read_document(out / "result.json")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a device")
def test_no_device_is_opened(out: Path, files: FolderFiles) -> None:
    os.mknod(out / "zero", 0o20666, os.makedev(1, 5))
    with pytest.raises(StepCrashed, match="device"):
        collect(out, [], files, Limits())
    with pytest.raises(StepCrashed, match="device"):
        read_document(out / "zero")


def test_a_file_that_the_result_names_must_be_there(out: Path, files: FolderFiles) -> None:
    with pytest.raises(StepCrashed, match=r"'model\.onnx'"):
        collect(out, ["model.onnx"], files, Limits())


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "raw/../../secret"])
def test_a_result_cannot_name_what_lies_elsewhere(name: str, out: Path, secret: Path, files: FolderFiles) -> None:
    with pytest.raises(StepCrashed, match="did not leave"):
        collect(out, [name], files, Limits())


def test_an_output_folder_that_was_replaced_is_not_followed(out: Path, secret: Path, files: FolderFiles) -> None:
    out.rmdir()
    with pytest.raises(StepCrashed, match="cannot be read"):
        collect(out, [], files, Limits())
    out.symlink_to(secret.parent)
    with pytest.raises(StepCrashed, match="replaced"):
        collect(out, [], files, Limits())


def test_too_many_bytes_are_refused_even_where_they_are_holes(out: Path, files: FolderFiles) -> None:
    with (out / "hole").open("wb") as file:
        file.truncate(2**20 + 1)
    with pytest.raises(StepCrashed, match="more files"):
        collect(out, [], files, Limits(scratch_bytes=2**20))


def test_too_many_files_are_refused(out: Path, files: FolderFiles) -> None:
    for number in range(11):
        (out / str(number)).touch()
    with pytest.raises(StepCrashed, match="more files"):
        collect(out, [], files, Limits(scratch_files=10))


def test_folders_in_folders_without_end_are_refused(out: Path, files: FolderFiles) -> None:
    out.joinpath(*["deeper"] * 10).mkdir(parents=True)
    with pytest.raises(StepCrashed, match="deeper folders"):
        collect(out, [], files, Limits())


def test_a_name_that_plays_with_terminals_is_refused(out: Path, files: FolderFiles) -> None:
    (out / "\x1b[2J").touch()
    with pytest.raises(StepCrashed, match="unfit name"):
        collect(out, [], files, Limits())


def test_a_result_of_a_hundred_megabytes_is_not_read(out: Path) -> None:
    with (out / "result.json").open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(StepCrashed, match="are the limit"):
        read_document(out / "result.json")


def test_a_document_that_is_not_there_is_none(out: Path) -> None:
    assert read_document(out / "result.json") is None
