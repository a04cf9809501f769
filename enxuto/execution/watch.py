"""Waits for a child, and ends it when it is told to stop or goes beyond its limits."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from enxuto.errors import Interrupted, OutOfCapacity
from enxuto.execution.explain import out_of_memory
from enxuto.execution.limits import Limits

_LOOK_EVERY_S = 0.1
_LOOK_AT_FILES_EVERY_S = 1.0
_CLOSED_EARLY_S = 0.005
"""How long to sleep when a child that still runs, or is about to be gone, has closed its output."""
_WORDS_KEPT = 16 * 1024
_DEEPEST = 32


class LastWords:
    """The end of what a child printed; the rest is read and forgotten, so that it never blocks or fills a disk."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = b""
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)
        self._ended = False

    def listen(self, timeout_s: float) -> None:
        """Wait for something to be printed, or for the end, no longer than this."""
        if self._ended:
            time.sleep(min(timeout_s, _CLOSED_EARLY_S))
        elif self._poll.poll(timeout_s * 1000):
            chunk = os.read(self._stream.fileno(), 1 << 16)
            self._kept = (self._kept + chunk)[-_WORDS_KEPT:]
            self._ended = not chunk

    def to_the_end(self) -> str:
        """All that is still to be read of a child that is dead."""
        while not self._ended and self._poll.poll(0):
            self.listen(0)
        return self._kept.decode(errors="replace")


def wait(process: subprocess.Popen[bytes], folder: Path, limits: Limits, stop: Callable[[], bool]) -> str:
    """Until the child ends; returns the end of what it printed. It is dead when this returns or raises.

    Raises:
        Interrupted: ``stop()`` became true.
        OutOfCapacity: a limit was gone beyond.
    """
    if process.stdout is None:
        raise ValueError("the child's output is not piped")
    words = LastWords(process.stdout)
    watch = _Watch(process.pid, folder, limits)
    try:
        while not _has_ended(process.pid):
            words.listen(_LOOK_EVERY_S)
            if stop():
                raise Interrupted("told to stop while a step was running")
            watch.check()
    finally:
        _end(process)
    return words.to_the_end()


def _has_ended(pid: int) -> bool:
    """Without reaping it, so that its number stays its own until its group is ended too."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """The child and, where the kernel could not forbid it any, its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


class _Watch:
    """Holds a running child against its limits."""

    def __init__(self, pid: int, folder: Path, limits: Limits) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._folder = folder
        self._limits = limits
        self._started = time.monotonic()
        self._looked_at_files = self._started

    def check(self) -> None:
        now = time.monotonic()
        if now - self._started > self._limits.time_s:
            raise OutOfCapacity(
                f"The step took longer than {self._limits.time_s:g} s.",
                code="step_timeout",
                hint="Allow steps more time, or give fewer samples or a smaller model.",
            )
        self._check_status()
        if now - self._looked_at_files > _LOOK_AT_FILES_EVERY_S:
            self._looked_at_files = now
            self._check_files()

    def _check_status(self) -> None:
        try:
            lines = self._status.read_text().splitlines()
        except OSError:  # it has just ended, or /proc hides it: the child's own limits hold
            return
        fields = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines) if value.split()}
        memory_bytes = 1024 * (int(fields.get("RssAnon", 0)) + int(fields.get("RssShmem", 0)))
        if memory_bytes > self._limits.memory_bytes:
            raise out_of_memory(self._limits)
        if int(fields.get("Threads", 0)) > self._limits.threads:
            raise OutOfCapacity(
                f"The step started more than {self._limits.threads} threads.",
                code="too_many_threads",
                hint="Ask for fewer threads in the workload, or allow steps more.",
            )

    def _check_files(self) -> None:
        used, count = _usage(self._folder, self._limits.scratch_files)
        if used > self._limits.scratch_bytes or count > self._limits.scratch_files:
            raise OutOfCapacity(
                f"The step's files went beyond {self._limits.scratch_bytes:,} bytes "
                f"or {self._limits.scratch_files:,} files.",
                code="scratch_full",
                hint="Allow steps more room, or give fewer samples or a smaller model.",
            )


def _usage(folder: Path, most: int) -> tuple[int, int]:
    """Bytes on disk and number of entries below a folder that is being written to; stops counting beyond ``most``."""
    used, count, folders = 0, 0, [(str(folder), 0)]
    while folders and count <= most:
        path, depth = folders.pop()
        if depth > _DEEPEST:
            return used, most + 1
        with contextlib.suppress(OSError), os.scandir(path) as entries:
            for entry in entries:
                count += 1
                with contextlib.suppress(OSError):
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((entry.path, depth + 1))
                if count > most:
                    break
    return used, count
