"""Errors as they are read."""

from __future__ import annotations

import pytest

from enxuto.errors import BadInput


@pytest.mark.parametrize(
    ("detail", "hint", "read"),
    [
        ("no rule for: Scaler", "Leave it out.", "no rule for: Scaler. Leave it out."),
        ("It is empty.", "Fill it.", "It is empty. Fill it."),
        ("it goes on…", "Cut it.", "it goes on… Cut it."),
        ("no rule for: Scaler", "", "no rule for: Scaler"),
    ],
)
def test_what_a_runtime_said_is_parted_from_what_to_do(detail: str, hint: str, read: str) -> None:
    assert str(BadInput(detail, hint=hint)) == read
