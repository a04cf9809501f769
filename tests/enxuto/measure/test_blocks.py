"""Blocks hold the calls and nothing else."""

import subprocess
import sys
import time

import pytest

from enxuto.measure.blocks import calls_in, time_block, warm_up


def test_each_call_is_timed_but_the_first() -> None:
    calls: list[int] = []
    block = time_block(lambda: calls.append(1), 20)
    assert len(calls) == 21
    assert len(block.wall_ns) == 20
    assert min(block.wall_ns) > 0


def test_processor_time_is_fine_where_a_limit_makes_the_usual_clock_tick() -> None:
    """In a process of its own, since a limit cannot be taken back."""
    program = (
        "import resource\n"
        "from enxuto.measure.blocks import cpu_time_ns\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (600, 600))\n"
        "seen = {cpu_time_ns() for _ in range(20_000)}\n"
        "print(max(seen) - min(seen), len(seen))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    spent_ns, ticks = map(int, ran.stdout.split())
    assert spent_ns / ticks < 500_000


def test_a_long_call_is_made_once_and_timed() -> None:
    calls: list[int] = []
    assert len(time_block(lambda: calls.append(1), 1).wall_ns) == len(calls) == 1


def test_timing_adds_less_than_five_microseconds_to_a_call() -> None:
    def nothing() -> None:
        return None

    assert min(time_block(nothing, 2000).median_ms for _ in range(5)) < 0.005


def test_waiting_takes_wall_time_and_working_takes_processor_time_too() -> None:
    waiting = time_block(lambda: time.sleep(0.05), 3)
    working = time_block(lambda: sum(range(1_000_000)), 3)
    assert waiting.median_ms >= 50
    assert waiting.cpu_ns < 75e6
    assert working.cpu_ns > 6e6


@pytest.mark.parametrize(
    ("call_ms", "calls"), [(0.1, 300), (10.0, 3), (80.0, 3), (90.0, 1), (500.0, 1), (0.0, 100_000)]
)
def test_a_block_is_filled_with_at_least_three_calls_but_of_those_that_are_long(call_ms: float, calls: int) -> None:
    assert calls_in(30.0, call_ms) == calls


def test_warming_up_lasts_until_calls_stop_getting_faster() -> None:
    waits = iter([0.03, 0.02, 0.015, 0.01, 0.008, 0.006, 0.005])
    seen: list[float] = []

    def call() -> None:
        seen.append(next(waits, 0.002))
        time.sleep(seen[-1])

    calls = warm_up(call, block_ms=20.0, most_s=5.0)
    assert seen[-1] == 0.002
    assert 3 <= calls <= 10


def test_warming_up_takes_few_of_the_calls_that_are_slow() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        time.sleep(0.2)

    assert warm_up(call, block_ms=10.0, most_s=1.0) == 1
    assert 3 <= len(calls) <= 7


def test_warming_up_ends_though_calls_never_stand_still() -> None:
    wait = 0.0005

    def call() -> None:
        nonlocal wait
        wait *= 1.1
        time.sleep(min(wait, 0.05))

    begun = time.monotonic()
    warm_up(call, block_ms=5.0, most_s=0.2)
    assert time.monotonic() - begun < 10
