"""How long threads of this process stood ready without a core, because somebody else had it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")
_WAITED = 1
"""Position of the nanoseconds waited in a task's ``schedstat``, see sched-stats in the kernel's documentation."""


class RunQueue:
    """Reads the kernel's own count. Where a kernel keeps none, nothing is ever seen to wait."""

    def __init__(self, *, of_all_threads: bool) -> None:
        """Of the calling thread, or of all threads that there are now."""
        ids = [entry.name for entry in _TASKS.iterdir()] if of_all_threads else [str(threading.get_native_id())]
        self._waited_ns: dict[int, int] = {}
        """By open file, as last read: what a thread waited stays what it was when the thread has ended."""
        for each in ids:
            with suppress(OSError):
                self._waited_ns[os.open(_TASKS / each / "schedstat", os.O_RDONLY | os.O_CLOEXEC)] = 0

    def waited_ns(self) -> int:
        """Since the threads began, all together."""
        for file in self._waited_ns:
            with suppress(ProcessLookupError):  # a runtime may end threads of its pool
                self._waited_ns[file] = int(os.pread(file, 128, 0).split()[_WAITED])
        return sum(self._waited_ns.values())

    def close(self) -> None:
        for file in self._waited_ns:
            os.close(file)
