"""Rows of what was compared, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    method: str
    reference: str
    """Project, and its version or commit."""
    case: str
    agreement: str


def table(rows: list[Row]) -> str:
    lines = ["| method | reference | case | agreement |", "|---|---|---|---|"]
    lines += [f"| {row.method} | {row.reference} | {row.case} | {row.agreement} |" for row in rows]
    return "\n".join(lines)
