"""What a command prints: a table for people, or one JSON document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from enxuto.report import Report

_WIDTH_OF_A_PIPE = 140
"""Wide enough that nothing is cut."""


def console() -> Console:
    """Standard output."""
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=_WIDTH_OF_A_PIPE)


def show_report(report: Report, *, as_json: bool, out: Path | None) -> None:
    from enxuto.render.table import print_report

    if as_json:
        typer.echo(report.model_dump_json(by_alias=True, indent=2))
        return
    print_report(report, console())
    if out is not None:
        typer.echo(f"In {out}: {', '.join(name for name in sorted(_left(report)) if (out / name).is_file())}")


def _left(report: Report) -> set[str]:
    """What a verb leaves in the folder that was named, as far as it does."""
    from enxuto.deliver import files_of

    return {"optimized.onnx", "report.json", "report.html", *files_of(report)}


def show_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
