"""Numbers read as a person would write them."""

from __future__ import annotations

import pytest

from enxuto import words
from enxuto.goal import Goal, MaxDrop


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0824, "0.0824 ms"), (0.8123, "0.812 ms"), (12.34, "12.3 ms"), (1234.5, "1,234 ms"), (None, "–")],
)
def test_times_have_three_significant_digits(value: float | None, written: str) -> None:
    assert words.milliseconds(value).replace("\u00a0", " ") == written


@pytest.mark.parametrize(
    ("size_bytes", "written"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (4_836_114, "4.84 MB"), (2_147_483_648, "2.15 GB"), (None, "–")],
)
def test_sizes_are_decimal(size_bytes: int | None, written: str) -> None:
    assert words.size(size_bytes).replace("\u00a0", " ") == written


def test_a_negative_loss_has_a_real_minus_sign() -> None:
    assert words.percent(-0.0123) == "−1.23\u00a0%"


@pytest.mark.parametrize(
    ("goal", "written"),
    [
        (Goal(), "lowest latency, with at most 1 % of top-1 lost, at 95 % confidence"),
        (Goal(maximize="throughput", max_drop=None), "highest throughput, with no limit on accuracy"),
        (
            Goal(minimize="size", max_drop=MaxDrop(value=0.002, relative=False, confidence=0.5), memory_mb=300),
            "smallest file, with at most 0.002 (absolute) of top-1 lost, by point estimate; memory ≤ 300 MB",
        ),
    ],
)
def test_a_goal_reads_as_a_sentence(goal: Goal, written: str) -> None:
    assert words.goal_words(goal, "top-1").replace("\u00a0", " ") == written
