"""What this process has of the machine's memory: as the kernel counts it, and as the C library hands it out."""

from __future__ import annotations

import ctypes
import gc
import re
from dataclasses import dataclass
from pathlib import Path

from enxuto.measure.resident import resident_bytes

_MAPPINGS = Path("/proc/self/smaps_rollup")
_HEAP_COUNTERS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class _HeapCounters(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = [(name, ctypes.c_size_t) for name in _HEAP_COUNTERS]


@dataclass(frozen=True)
class Heap:
    """Of ``malloc``, over all threads."""

    in_use_bytes: int
    free_bytes: int
    """Given back to the C library, which keeps it for whoever asks next: resident still."""


@dataclass(frozen=True)
class Footprint:
    """Memory of this process at one moment."""

    resident_bytes: int
    anonymous_bytes: int
    """Of the resident set, what is no page of a file."""
    peak_bytes: int
    """Highest resident set so far."""
    heap: Heap | None
    """None where the C library does not tell: glibc does since 2.33."""

    @classmethod
    def read(cls) -> Footprint:
        """Raises StepCrashed: the kernel does not say (``memory_not_readable``)."""
        gc.collect()
        mapped = _mapped()
        resident = mapped["Rss"] if mapped else resident_bytes("VmRSS")
        return cls(
            resident_bytes=resident,
            anonymous_bytes=mapped["Anonymous"] if mapped else resident_bytes("RssAnon"),
            peak_bytes=max(resident, resident_bytes("VmHWM")),
            heap=_heap(),
        )

    def in_use_since(self, earlier: Footprint) -> int | None:
        """Growth of anonymous memory but for what the C library only keeps; None where that is not told."""
        if self.heap is None or earlier.heap is None:
            return None
        grown = self.anonymous_bytes - earlier.anonymous_bytes
        return max(0, grown - (self.heap.free_bytes - earlier.heap.free_bytes))

    def heap_since(self, earlier: Footprint) -> int | None:
        """Growth of the heap in use, touched or not; None where that is not told."""
        if self.heap is None or earlier.heap is None:
            return None
        return max(0, self.heap.in_use_bytes - earlier.heap.in_use_bytes)


def _mapped() -> dict[str, int] | None:
    """Counted page by page: the counters in ``status`` may lag by dozens of pages a processor."""
    try:
        text = _MAPPINGS.read_text(encoding="ascii", errors="replace")
    except OSError:  # some kernels do without
        return None
    return {name: int(kilobytes) * 1024 for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def _heap() -> Heap | None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return None
    library.mallinfo2.restype = _HeapCounters
    counters = library.mallinfo2()
    return Heap(in_use_bytes=counters.uordblks + counters.hblkhd, free_bytes=counters.fordblks)
