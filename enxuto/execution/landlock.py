"""Landlock: which files a process may read or write, and that it may not reach other processes or the network.

https://docs.kernel.org/userspace-api/landlock.html. It binds the calling thread and what comes of it, so it is applied
before any other thread starts.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from enxuto.execution.kernel import system_call

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_ALL_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_SINCE, _BIND_AND_CONNECT_TCP = 4, 0b11
_SCOPES_SINCE, _ABSTRACT_SOCKETS_AND_SIGNALS = 6, 0b11

READ = _READ_FILE | _READ_DIR
READ_AND_WRITE = READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
"""No links, pipes, sockets or devices; no moving from one folder to another, which the first ABI cannot allow."""
_OF_A_FILE = _WRITE_FILE | _READ_FILE | _TRUNCATE


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def abi() -> int:
    """Which Landlock this kernel has; 0 for none."""
    try:
        return system_call(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """From here on only these files and folders, with all that lies below, can be opened. Cannot be undone.

    Every path must exist. Needs ``no_new_privs``. Raises OSError where the kernel refuses.
    """
    version = abi()
    handled = _ALL_RIGHTS_BY_ABI[max(known for known in _ALL_RIGHTS_BY_ABI if known <= max(version, 1))]
    ruleset = system_call(_CREATE_RULESET, _ruleset(version, handled), _size_of_ruleset(version), 0)
    try:
        for paths, rights in ((readable, READ), (writable, READ_AND_WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _ruleset(version: int, handled: int) -> _Ruleset:
    network = _BIND_AND_CONNECT_TCP if version >= _NETWORK_SINCE else 0
    scopes = _ABSTRACT_SOCKETS_AND_SIGNALS if version >= _SCOPES_SINCE else 0
    return _Ruleset(handled, network, scopes)


def _size_of_ruleset(version: int) -> int:
    """A kernel takes the fields that it knows."""
    return 24 if version >= _SCOPES_SINCE else 16 if version >= _NETWORK_SINCE else 8


def _allow(ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _OF_A_FILE
    system_call(_ADD_RULE, ruleset, _PATH_BENEATH, _Beneath(rights, descriptor), 0)
    if Path("/proc") not in path.parents:  # procfs forgets a file that nobody holds, and the rule with it
        os.close(descriptor)
