"""One measuring step at a time on a host: two at once would measure each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from enxuto.errors import Interrupted

_TRY_EVERY_S = 0.1


def host_lock() -> Path:
    """One file a host and user, whatever the number of services and programs that measure here."""
    folder = Path(tempfile.gettempdir()) / f"enxuto-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / "measuring.lock"


@contextmanager
def alone(lock: Path | None, stop: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock file; it is let go when this process ends, however it ends. Raises Interrupted while waiting."""
    if lock is None:
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _taken(descriptor):
            if stop():
                raise Interrupted("told to stop while another step was measuring")
            time.sleep(_TRY_EVERY_S)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
