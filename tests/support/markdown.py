"""Reads what the papers promise: code blocks, commands and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.tree import ROOT

PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str
    marker: str
    """The comment on the line above it."""


def blocks(paper: Path) -> list[Block]:
    text = paper.read_text(encoding="utf-8")
    fences = re.findall(r"(?:<!-- (.*?) -->\n)?^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(language, code, marker) for marker, language, code in fences]


def command_lines(paper: Path) -> list[str]:
    """Lines of its shell blocks, without comments; lines that end in a backslash are joined."""
    shell = "\n".join(block.text for block in blocks(paper) if block.language in {"bash", "sh", "console"})
    lines = shell.replace("\\\n", " ").splitlines()
    return [re.sub(r"\s#.*", "", line).strip().removeprefix("$ ") for line in lines if line.strip()]


def links(paper: Path) -> list[str]:
    """Relative ones."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", paper.read_text(encoding="utf-8"))
    return [link for link in found if "://" not in link and not link.startswith("/")]
