"""What measuring itself adds to a timed call: the inner loop of every measurement around a call that does nothing.

    python -m bench.overhead [--calls 2000] [--blocks 200]

Prints median and 99th percentile of a call in microseconds, and what else a block costs. Exit status 1 where the
median is not under 5 µs.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time

import numpy as np

from enxuto.machine import this_machine
from enxuto.measure.blocks import time_block
from enxuto.measure.probe import CoreProbe

MOST_US = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000, help="in a block")
    parser.add_argument("--blocks", type=int, default=200)
    arguments = parser.parse_args()
    gc.disable()  # as while models are timed
    blocks, begun = [], time.perf_counter()
    for _ in range(arguments.blocks):
        blocks.append(time_block(_nothing, arguments.calls))
    spent_us = (time.perf_counter() - begun) * 1e6 / (arguments.blocks * arguments.calls)
    calls_us = np.concatenate([np.asarray(block.wall_ns) for block in blocks]) / 1000
    median_us, p99_us = np.percentile(calls_us, [50, 99])
    probe = CoreProbe()
    probes_us = [_timed_us(probe) for _ in range(50)]
    print(f"{this_machine().processor}: {calls_us.size:,} calls that do nothing")
    print(f"in a call's time  median {median_us:.3f} µs, p99 {p99_us:.3f} µs")
    print(f"beside it         {spent_us - calls_us.mean():.3f} µs a call, not in its time")
    print(f"a probe           {np.median(probes_us):.0f} µs, between two blocks")
    held = median_us < MOST_US
    print("held" if held else "MISSED", f": under {MOST_US:g} µs a call", sep="")
    return 0 if held else 1


def _nothing() -> None:
    return None


def _timed_us(probe: CoreProbe) -> float:
    begun = time.perf_counter_ns()
    probe()
    return (time.perf_counter_ns() - begun) / 1000


if __name__ == "__main__":
    sys.exit(main())
