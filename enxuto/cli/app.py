"""The commands of ``enxuto``, those of other packages among them."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated, Protocol

import typer

from enxuto.cli import benchmark, compare, inspect, jobs, optimize, profile, techniques
from enxuto.cli.exits import HELP, NO_ANSWER

COMMANDS = "enxuto.commands"
"""Entry-point group: each is a function ``register(app: typer.Typer) -> None`` in a module that is quick to import."""


class Register(Protocol):
    def __call__(self, app: typer.Typer) -> None: ...


def application() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=_flowing(HELP),
    )
    app.callback()(enxuto)
    verbs = (optimize.optimize, compare.compare, benchmark.benchmark, profile.profile)
    for command in (*verbs, inspect.inspect, techniques.techniques, doctor):
        app.command(help=_flowing(command.__doc__ or ""))(command)
    app.add_typer(jobs.app, name="jobs")
    for entry_point in sorted(metadata.entry_points(group=COMMANDS), key=lambda found: found.name):
        _register(app, entry_point)
    return app


def _flowing(text: str) -> str:
    """Paragraphs without the line breaks of the source: the terminal sets its own."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"enxuto {metadata.version('enxuto')}")
        raise typer.Exit


def enxuto(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Make trained models lean, and prove it."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Say which layers of the sandbox are in force here, and which runtimes and which Redis were found."""
    from enxuto.cli import doctor as command

    command.doctor(as_json)


def _register(app: typer.Typer, entry_point: metadata.EntryPoint) -> None:
    """A command whose package is not installed stays visible and says what it needs."""
    try:
        register: Register = entry_point.load()
    except ModuleNotFoundError as error:
        _register_missing(app, entry_point.name, error)
    else:
        register(app)


def _register_missing(app: typer.Typer, name: str, error: ModuleNotFoundError) -> None:
    told = f"`enxuto {name}` needs the package '{error.name}'. Install it with: pip install 'enxuto[service]'"

    @app.command(name, help=f"Needs pip install 'enxuto[service]' ({error.name} is not installed).")
    def missing() -> None:
        typer.echo(f"error: {told}", file=sys.stderr)
        raise typer.Exit(NO_ANSWER)
