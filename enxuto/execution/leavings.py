"""What a child leaves is untrusted: only plain files are opened, no link is followed, within limits.

The child is dead by then, so nothing changes between a look and an opening.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from enxuto.errors import StepCrashed
from enxuto.execution.explain import HOSTILE_OR_DEFECT
from enxuto.execution.files import Files
from enxuto.execution.limits import Limits
from enxuto.schema import Digest

_DEEPEST = 8
_LONGEST_NAME = 240
_LARGEST_DOCUMENT = 32 * 2**20


def read_document(path: Path) -> bytes | None:
    """A small plain file's bytes; None where there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepCrashed(
            f"The step left {path.name}, which cannot be opened.", code="step_left_bad_file", hint=HOSTILE_OR_DEFECT
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _refuse_unless_plain(path.name, status)
        if status.st_size > _LARGEST_DOCUMENT:
            raise StepCrashed(
                f"The step left {path.name} of {status.st_size:,} bytes; {_LARGEST_DOCUMENT:,} are the limit.",
                code="step_left_bad_file",
                hint=HOSTILE_OR_DEFECT,
            )
        return file.read()


def collect(out: Path, named: Sequence[str], files: Files, limits: Limits) -> dict[str, Digest]:
    """Take the files below a step's ``out``, by their paths in there.

    Raises StepCrashed where something is no plain file, too much, or named in the result and missing.
    """
    try:
        found = dict(_plain_files(out, limits))
    except OSError as error:
        raise StepCrashed(
            "The step left a folder that cannot be read.", code="step_left_bad_file", hint=HOSTILE_OR_DEFECT
        ) from error
    if missing := sorted(set(named) - set(found)):
        raise StepCrashed(
            f"The step's result names files that it did not leave: {', '.join(map(repr, missing[:5]))}.",
            code="step_left_too_little",
            hint=HOSTILE_OR_DEFECT,
        )
    return {name: files.add(path) for name, path in found.items()}


def _plain_files(out: Path, limits: Limits) -> Iterator[tuple[str, Path]]:
    if not stat.S_ISDIR(out.lstat().st_mode):
        raise StepCrashed("The step replaced its output folder.", code="step_left_bad_file", hint=HOSTILE_OR_DEFECT)
    bytes_left, entries_left = limits.scratch_bytes, limits.scratch_files
    folders = [(out, 0)]
    while folders:
        folder, depth = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = _checked_name(Path(entry.path).relative_to(out))
                status = entry.stat(follow_symlinks=False)
                entries_left -= 1
                if stat.S_ISDIR(status.st_mode):
                    folders.append((Path(entry.path), depth + 1))
                else:
                    _refuse_unless_plain(name, status)
                    if not os.access(entry.path, os.R_OK):
                        raise StepCrashed(
                            f"The step left {name!r}, which nobody may read.",
                            code="step_left_bad_file",
                            hint=HOSTILE_OR_DEFECT,
                        )
                    bytes_left -= status.st_size
                    yield name, Path(entry.path)
                if bytes_left < 0 or entries_left < 0 or depth >= _DEEPEST:
                    raise StepCrashed(
                        "The step left more files, or deeper folders, than it may.",
                        code="step_left_too_much",
                        hint=HOSTILE_OR_DEFECT,
                    )


def _checked_name(path: Path) -> str:
    name = path.as_posix()
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise StepCrashed(
            f"The step left a file with an unfit name: {ascii(name)[:80]}.",
            code="step_left_bad_file",
            hint=HOSTILE_OR_DEFECT,
        )
    return name


def _refuse_unless_plain(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise StepCrashed(
            f"The step left {name!r}, which is a {_kind_of(status)} and not a plain file.",
            code="step_left_bad_file",
            hint=HOSTILE_OR_DEFECT,
        )


def _kind_of(status: os.stat_result) -> str:
    if status.st_nlink != 1 and stat.S_ISREG(status.st_mode):
        return "file with a second name elsewhere"
    kinds = {stat.S_IFLNK: "link", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFDIR: "folder"}
    return kinds.get(stat.S_IFMT(status.st_mode), "device")
