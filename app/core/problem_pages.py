"""What each error code means: read from ``app/problems.md``, the one place where they are explained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_SECTION = re.compile(r"^## (?P<code>[a-z0-9_]+)\n+\*\*(?P<title>[^\n]+)\*\*\n(?P<text>.*?)(?=^## |\Z)", re.S | re.M)


@dataclass(frozen=True)
class ProblemPage:
    code: str
    title: str
    text: str
    """Markdown."""


@cache
def problem_pages() -> Mapping[str, ProblemPage]:
    """Every page by its code, in the order of the document."""
    document = (Path(__file__).parents[1] / "problems.md").read_text(encoding="utf-8")
    return {match["code"]: ProblemPage(**match.groupdict()) for match in _SECTION.finditer(document)}


def title_of(code: str) -> str:
    page = problem_pages().get(code)
    return page.title if page else code.replace("_", " ").capitalize()
