"""Gives back the memory of files of weights that a runtime has mapped.

OpenVINO maps them, packs weights anew one after the other, and leaves the maps as they are: pages that were read once
count as the process's memory ever after, so that a model takes twice its size. The kernel reads a page again where
somebody still looks at it.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EVERY_S = 0.05
_MADVISE = ctypes.CDLL(None, use_errno=True).madvise
_MADVISE.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

_MAP = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S{3})[sp] \S+ \S+ \d+ +(/.*)$", re.MULTILINE)
_READ_ONLY = "r--"

Extent = tuple[int, int]
"""Address and length in bytes."""


def weight_maps(model: Path) -> list[Extent]:
    """Where this process has mapped files that lie beside a model, to be read only.

    A library may lie there as well: the loader has written addresses into parts of it that can only be read since, and
    that no file gives back. Such a file is mapped to be run, or written, too.
    """
    folder = model.resolve().parent
    maps = _MAP.findall(Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace"))
    others = {name for _, _, access, name in maps if access != _READ_ONLY} | {str(folder / model.name)}
    weights = {name for *_, name in maps if name not in others and Path(name).parent == folder}
    return [(int(start, 16), int(end, 16) - int(start, 16)) for start, end, _, name in maps if name in weights]


def give_back(model: Path) -> None:
    """Where the kernel does not take it, memory stays as it was.

    Looked up each time: where a map is gone, something else may lie that no file could bring back.
    """
    for start, length in weight_maps(model):
        _MADVISE(start, length, mmap.MADV_DONTNEED)


@contextmanager
def giving_back(model: Path) -> Iterator[None]:
    """Again and again while a runtime reads its weights. Whoever calls this holds what holds the maps."""
    done = threading.Event()
    thread = threading.Thread(target=_until, args=(done, model), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        give_back(model)


def _until(done: threading.Event, model: Path) -> None:
    while not done.wait(_EVERY_S):
        give_back(model)
