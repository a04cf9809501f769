"""The commands that workers bring to the ``enxuto`` script; light, since it is read at every call of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("up")(up)


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder that holds everything the service keeps.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many workers to start.")] = 1,
) -> None:
    """Start the whole service on this machine: API, workers, sweep, and Redis unless ENXUTO_REDIS_URL is set.

    Ctrl-C or SIGTERM stops it; jobs that run go back into the queue, and the next start takes them up.
    """
    given = {"ENXUTO_HOST": host, "ENXUTO_PORT": port, "ENXUTO_DATA_DIR": data_dir}
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    try:
        from workers.up import up as run
    except ImportError as error:
        typer.echo(f"enxuto: {error}. The service is not installed here: pip install 'enxuto[all]'.", err=True)
        raise typer.Exit(1) from error
    raise typer.Exit(run(workers))
