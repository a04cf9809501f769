"""The box that a step runs in: entered first thing by a fresh process, before any import that starts threads.

Five layers, each of use without the others: resource limits, no new privileges, no capabilities, Landlock over files,
seccomp over system calls. Where a kernel lacks one the others still stand, and ``Layers`` says so. Standard library
only, because what is imported before the box is closed runs outside it.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from enxuto.execution import landlock, privileges, seccomp
from enxuto.execution.kernel import processor

_SYSTEM_PATHS = (
    "/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/pressure",
    "/sys/devices/system/cpu", "/sys/devices/system/node", "/dev/urandom",
)  # fmt: skip
_WRITABLE_DEVICES = ("/dev/null",)
_GRACE_S = 5
"""Between the signal that names the limit on processor time and the one that cannot be ignored."""
_NOT_TO_BE_HAD = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EACCES, errno.E2BIG})


@dataclass(frozen=True)
class Policy:
    """What one process may do."""

    parent: int
    """Process that this one dies with."""
    scratch: str
    """The only folder that it may write to."""
    readable: list[str]
    """Files and folders beside the system's: the interpreter, its packages, the step's inputs."""
    memory_bytes: int
    """Private writable memory."""
    file_bytes: int
    """Size of any one file that it writes."""
    open_files: int
    cpu_s: int
    """Processor time over all threads: the backstop behind the parent's clock."""


@dataclass(frozen=True)
class Layers:
    """Which parts of the box are closed."""

    resource_limits: bool
    no_new_privileges: bool
    no_capabilities: bool
    landlock_abi: int
    """0 where the kernel has none, or where it is turned off."""
    seccomp: bool

    @property
    def missing(self) -> list[str]:
        closed = {
            "resource limits": self.resource_limits,
            "no_new_privs": self.no_new_privileges,
            "dropped capabilities": self.no_capabilities,
            "Landlock": self.landlock_abi > 0,
            "seccomp": self.seccomp,
        }
        return [name for name, is_closed in closed.items() if not is_closed]


def interpreter_paths() -> list[str]:
    """What a child must read to run: the interpreter, the packages beside it, and this one, wherever it lies."""
    dependency = find_spec("pydantic")
    homes = [sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[1])]
    if dependency is not None and dependency.origin is not None:
        homes.append(str(Path(dependency.origin).resolve().parents[1]))
    return list(dict.fromkeys(homes))


def enter(policy: Policy) -> Layers:
    """Close the box around this process, for good."""
    known = processor()
    privileges.die_with_parent(policy.parent)
    privileges.leave_no_dump()
    _closed(privileges.be_the_first_to_go)
    limited = _closed(lambda: _limit_resources(policy))
    gains_none = _closed(privileges.gain_none)
    powerless = known is not None and _closed(lambda: privileges.drop_capabilities(known))
    fenced = landlock.abi() if _closed(lambda: _fence(policy)) else 0
    filtered = known is not None and _closed(lambda: seccomp.install(known, seccomp.program(known, os.getpid())))
    return Layers(limited, gains_none, powerless, fenced, filtered)


def _closed(close: Callable[[], None]) -> bool:
    """Whether this kernel lets a layer be closed; a path that is missing is a defect of ours, and raised."""
    try:
        close()
    except OSError as error:
        if error.errno not in _NOT_TO_BE_HAD:
            raise
        return False
    return True


def _limit_resources(policy: Policy) -> None:
    limits = {
        resource.RLIMIT_DATA: policy.memory_bytes,
        resource.RLIMIT_FSIZE: policy.file_bytes,
        resource.RLIMIT_NOFILE: policy.open_files,
        resource.RLIMIT_CORE: 0,
    }
    for kind, wanted in limits.items():
        _limit(kind, wanted, wanted)
    _limit(resource.RLIMIT_CPU, policy.cpu_s, policy.cpu_s + _GRACE_S)


def _limit(kind: int, wanted: int, most: int) -> None:
    _, highest = resource.getrlimit(kind)
    if highest != resource.RLIM_INFINITY:
        wanted, most = min(wanted, highest), min(most, highest)
    resource.setrlimit(kind, (wanted, most))


def _fence(policy: Policy) -> None:
    system = [Path(path) for path in _SYSTEM_PATHS if Path(path).exists()]
    devices = [Path(path) for path in _WRITABLE_DEVICES if Path(path).exists()]
    landlock.restrict([*system, *map(Path, policy.readable)], [Path(policy.scratch), *devices])
