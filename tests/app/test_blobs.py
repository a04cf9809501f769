"""A blob is there as a whole or not at all, whatever dies."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.core.blobs import Blobs
from app.core.settings import Settings


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(Settings(data_dir=tmp_path))


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_bytes_come_back_under_their_digest(blobs: Blobs) -> None:
    digest = blobs.add_bytes(b"weights")
    assert digest == hashlib.sha256(b"weights").hexdigest()
    assert blobs.path(digest).read_bytes() == b"weights"


def test_a_blob_can_only_be_read(blobs: Blobs) -> None:
    assert blobs.path(blobs.add_bytes(b"weights")).stat().st_mode & 0o777 == 0o400


def test_a_copy_of_a_file_is_taken(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x" * 1_000_003)
    assert blobs.path(blobs.add(tmp_path / "model.onnx")).read_bytes() == b"x" * 1_000_003


def test_a_blob_that_is_being_written_is_not_visible_under_any_digest(blobs: Blobs) -> None:
    with blobs.incoming() as incoming:
        incoming.write(b"half")
        with pytest.raises(KeyError):
            blobs.path(incoming.digest)


def test_what_is_not_kept_leaves_nothing(blobs: Blobs) -> None:
    with blobs.incoming() as incoming:
        incoming.write(b"half")
    assert files_below(blobs.folder) == []


def test_unknown_bytes_are_a_key_error(blobs: Blobs) -> None:
    with pytest.raises(KeyError):
        blobs.path("0" * 64)


def test_a_reader_reads_on_while_its_blob_is_deleted(blobs: Blobs) -> None:
    digest = blobs.add_bytes(b"weights")
    with blobs.path(digest).open("rb") as file:
        blobs.delete(digest)
        assert file.read() == b"weights"
    with pytest.raises(KeyError):
        blobs.path(digest)


def test_bytes_that_were_put_in_place_again_are_not_deleted_as_old(blobs: Blobs) -> None:
    digest = blobs.add_bytes(b"weights")
    time.sleep(0.2)
    assert list(blobs.unused_for(0.1)) == [digest]
    blobs.add_bytes(b"weights")
    blobs.delete(digest, older_than_s=0.1)
    assert blobs.path(digest).is_file()


_WRITER = """
import sys, time
from pathlib import Path
from app.core.blobs import Blobs
from app.core.settings import Settings
with Blobs(Settings(data_dir=Path(sys.argv[1]))).incoming() as incoming:
    incoming.write(b"x" * 1_000_000)
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_discarded_and_what_a_living_one_writes_is_not(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.core.blobs._ABANDONED_AFTER_S", 0.0)
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    blobs.discard_abandoned()
    assert len(files_below(blobs.folder)) == 1
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert len(files_below(blobs.folder)) == 1
    blobs.discard_abandoned()
    assert files_below(blobs.folder) == []


def test_a_model_has_its_weights_beside_it_until_it_is_deleted(blobs: Blobs) -> None:
    model, weights = blobs.add_bytes(b"model"), blobs.add_bytes(b"weights")
    assert blobs.beside(model) == []
    blobs.put_beside(model, [weights])
    assert Blobs(Settings(data_dir=blobs.folder.parent)).beside(model) == [weights]
    assert blobs.path(model).with_name(weights) == blobs.path(weights)
    assert blobs.path(weights).stat().st_nlink == 1, "readers of ONNX files take none with a second name"
    assert sorted(blobs.unused_for(0)) == sorted([model, weights])
    blobs.delete(model)
    assert blobs.beside(model) == []
    assert blobs.path(weights)


def test_blobs_in_folders_of_their_first_letters_are_brought_to_the_others(blobs: Blobs) -> None:
    digest = blobs.add_bytes(b"weights")
    (blobs.folder / digest[:2]).mkdir()
    blobs.path(digest).rename(blobs.folder / digest[:2] / digest)
    assert not blobs.holds(digest)
    blobs.lift()
    assert blobs.path(digest).read_bytes() == b"weights"
    assert not (blobs.folder / digest[:2]).exists()
