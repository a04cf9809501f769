"""How fast bytes are read and written, by the size of what is gone through again and again.

Like McCalpin's STREAM: sums of two arrays into a third (two reads and a write), copies (a read and a write) and a
maximum (reads alone), of which the fastest counts. Bytes that a processor reads only because it is going to overwrite
them are not counted, as they are not for nodes.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import numpy as np
from numpy.lib.stride_tricks import as_strided

from enxuto.steps import Bandwidth

_CACHED_BYTES = tuple(1 << power for power in range(15, 26))
"""32 KiB to 32 MiB, for each thread."""
_BEYOND_CACHES = 4
"""Times the last cache: what is gone through has left it before it is needed again."""
_LEAST_BYTES, _MOST_BYTES = 128 << 20, 1 << 30
_PASS_BYTES = 32 << 20
"""Gone through in one call of NumPy, over and over where the arrays are smaller, so that its start costs nothing."""
_TRIALS = 5
_WORD = 4


def measure_bandwidths(threads: int) -> tuple[float, list[Bandwidth]]:
    """10^9 bytes a second of all threads together: beyond the caches, and for arrays that fit into one."""
    last_cache = _last_cache_bytes()
    beyond = min(max(_BEYOND_CACHES * last_cache, _LEAST_BYTES), _MOST_BYTES, _memory_bytes() // 8)
    largest = last_cache or _CACHED_BYTES[-1]
    with ThreadPoolExecutor(threads) as pool:
        memory = _bandwidth(pool, threads, beyond // threads)
        found = {size * threads: _bandwidth(pool, threads, size) for size in _CACHED_BYTES if size * threads <= largest}
    return memory, _falling(found, memory)


def _falling(found: Mapping[int, float], memory: float) -> list[Bandwidth]:
    """What larger arrays reach smaller ones can reach too: where they did not, somebody else was on the core."""
    cached: list[Bandwidth] = []
    best = memory
    for size in sorted(found, reverse=True):
        if found[size] > best:
            best = found[size]
        if best > memory:
            cached.insert(0, Bandwidth(size_bytes=size, gb_s=best))
    return cached


def _bandwidth(pool: ThreadPoolExecutor, threads: int, size: int) -> float:
    """``size`` bytes for each thread."""
    lanes = [list(_kernels(size)) for _ in range(threads)]
    best = 0.0
    for position in range(len(lanes[0])):
        kernels = [lane[position] for lane in lanes]
        best = max(best, sum(moved for moved, _ in kernels) / _fastest_s(pool, [call for _, call in kernels]) / 1e9)
    return best


def _fastest_s(pool: ThreadPoolExecutor, calls: list[Callable[[], object]]) -> float:
    """Of all threads together, from the first that begins to the last that ends."""
    start = Barrier(len(calls))

    def timed(call: Callable[[], object]) -> tuple[float, float]:
        start.wait()
        begun = time.perf_counter()
        call()
        return begun, time.perf_counter()

    spans = [list(pool.map(timed, calls)) for _ in range(_TRIALS)]
    return min(max(end for _, end in span) - min(begun for begun, _ in span) for span in spans)


def _kernels(size: int) -> Iterator[tuple[int, Callable[[], object]]]:
    """Bytes that each moves, and itself."""
    passes = max(1, _PASS_BYTES // size)
    first, second, third = (_over_and_over(size // 3 // _WORD, passes) for _ in range(3))
    yield first.size * _WORD * 3, partial(np.add, first, second, out=third)
    if passes == 1:  # NumPy copies an array over and over by another way, which is slow
        yield first.size * _WORD * 2, partial(np.copyto, third, first)
    whole, highest = _over_and_over(size // _WORD, passes), np.empty(passes, np.float32)
    yield whole.size * _WORD, partial(np.maximum.reduce, whole, axis=1, out=highest)


def _over_and_over(count: int, passes: int) -> np.ndarray:
    """An array [passes, count] whose rows are all the same memory."""
    return as_strided(np.ones(count, np.float32), (passes, count), (0, _WORD))


def _last_cache_bytes() -> int:
    """0 where the kernel does not tell."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((_cache_bytes(each) for each in sizes), default=0)


def _cache_bytes(path: Path) -> int:
    try:
        found = re.fullmatch(r"(\d+)([KM])\s*", path.read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) << {"K": 10, "M": 20}[found[2]] if found else 0


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
