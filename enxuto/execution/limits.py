"""How much one step may use of the machine."""

from __future__ import annotations

import os

from pydantic import Field

from enxuto.schema import Value

_MOST_BY_DEFAULT = 8 * 2**30
_SHARE_OF_THE_MACHINE = 0.75


def _default_memory_bytes() -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(_MOST_BY_DEFAULT, int(machine * _SHARE_OF_THE_MACHINE))


class Limits(Value):
    """What a step is ended or refused for going beyond."""

    memory_bytes: int = Field(default_factory=_default_memory_bytes, ge=2**28)
    """Memory of its own (files that it only maps do not count); 8 GiB, or three quarters of a smaller machine."""
    time_s: float = Field(3600.0, gt=0)
    """From its start to its end."""
    scratch_bytes: int = Field(16 * 2**30, ge=2**20)
    """All files that it has at one time, and any one of them."""
    scratch_files: int = Field(10_000, ge=10)
    """Files and folders that it has at one time."""
    threads: int = Field(1024, ge=8)
    open_files: int = Field(1024, ge=64)
    require_sandbox: bool = False
    """Refuse to run a step where this kernel lacks a layer of the box."""
