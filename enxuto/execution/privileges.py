"""What a process gives up for good: its powers as root, its life beyond its parent's, and core dumps."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

from enxuto.execution.kernel import Processor, process_control, system_call

_SET_PARENT_DEATH_SIGNAL, _SET_DUMPABLE, _SET_NO_NEW_PRIVILEGES = 1, 4, 38
_CAPABILITY_NUMBERS = {"x86_64": (125, 126), "aarch64": (90, 91)}
_CAPABILITY_VERSION_3 = 0x20080522
_READ_AND_SEARCH_ANYWHERE = 1 << 2
"""Root may read what others own. Landlock still says what; without it a container's root cannot read a user's files."""


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [(f"{name}{half}", ctypes.c_uint32) for half in "01" for name in ("effective", "permitted", "inherited")]


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that started this process ends; at once where the parent is gone already."""
    process_control(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def gain_none() -> None:
    """``no_new_privs``: nothing that this process starts has more rights than it has itself."""
    process_control(_SET_NO_NEW_PRIVILEGES, 1)


def leave_no_dump() -> None:
    """No core file, and no looking into this process by others of the same user."""
    process_control(_SET_DUMPABLE, 0)


def drop_capabilities(processor: Processor) -> None:
    """Root keeps its name only, and the right to read."""
    get, put = _CAPABILITY_NUMBERS[processor]
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), _Sets()
    system_call(get, header, sets)
    keep = sets.permitted0 & _READ_AND_SEARCH_ANYWHERE
    system_call(put, header, _Sets(keep, keep, 0, 0, 0, 0))


def be_the_first_to_go() -> None:
    """Where the kernel runs out of memory, it is to end this process and none of the service's."""
    Path("/proc/self/oom_score_adj").write_text("1000")
