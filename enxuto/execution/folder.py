"""A step's folder: made for one step, removed whatever was left in it, found again when its owner was killed.

::

    request.json          what to do (parent)
    missing_layers.json   what of the box could not be closed (child)
    result.json           what was found, or
    finding.json          why nothing was (child)
    out/                  files found (child)
    home/                 working folder, HOME and TMPDIR (child)
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "step-"
_TIME_TO_LOCK_S = 60
"""A folder younger than this may be on its way to being locked."""


@contextmanager
def step_folder(scratch: Path) -> Iterator[Path]:
    """A fresh folder with ``out`` and ``home`` in it; locked while its owner lives, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch)).resolve()
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "out").mkdir()
        (folder / "home").mkdir()
        yield folder
    finally:
        os.close(lock)
        remove(folder)


def remove_abandoned(scratch: Path) -> None:
    """Remove the folders of steps whose owner was killed."""
    for folder in scratch.glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _TIME_TO_LOCK_S:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another process was quicker, or it is none of ours
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(folder)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def remove(folder: Path) -> None:
    """Remove a folder that a hostile process may have filled.

    However deep its folders (they are lifted up first, so no path grows long and nothing recurses) and whatever their
    mode. Links are removed, never followed.
    """
    while inner := _entries(folder, folders=True):
        for entry in inner:
            _lift_folders_out_of(Path(entry), folder)
    for entry in _entries(folder, folders=False):
        Path(entry).unlink()
    folder.rmdir()


def _lift_folders_out_of(inner: Path, folder: Path) -> None:
    """Leave nothing of ``inner``: its files are deleted, its folders moved up beside it."""
    inner.chmod(0o700)
    for entry in _entries(inner, folders=True):
        lower = Path(entry)
        lower.chmod(0o700)
        lower.rename(folder / secrets.token_hex(16))
    for entry in _entries(inner, folders=False):
        Path(entry).unlink()
    inner.rmdir()


def _entries(folder: Path, *, folders: bool) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False) == folders]
