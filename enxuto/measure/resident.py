"""How much memory this process holds, as the kernel counts it."""

from __future__ import annotations

import re
from pathlib import Path

from enxuto.errors import StepCrashed


def resident_bytes(counter: str) -> int:
    """``VmRSS``: held now. ``VmHWM``: the most that was ever held."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"^{counter}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise StepCrashed(
            f"/proc/self/status has no {counter}",
            code="memory_not_readable",
            hint="Memory is measured on Linux only, where the box lets a step read /proc/self.",
        )
    return int(found[1]) * 1024
