"""Phrases that several findings are made of."""

from __future__ import annotations

from typing import Literal

Role = Literal["calibration", "evaluation", "both"]
_MOST_EXAMPLES = 10


def role_name(role: str) -> Role:
    return "calibration" if role == "calibration" else "evaluation"


def share_of(count: int, total: int) -> str:
    return f"{count:,} of {total:,}"


def examples(places: list[int]) -> list[int]:
    return places[:_MOST_EXAMPLES]


def figure(value: float) -> str:
    return f"{value:.3g}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
