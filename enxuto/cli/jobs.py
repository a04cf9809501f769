"""`enxuto jobs`: what goes on on a server."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from enxuto.cli import options
from enxuto.cli.exits import FAILED, OK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enxuto.client import Client, Job

DEFAULT_SERVER = "http://127.0.0.1:8000"

app = typer.Typer(no_args_is_help=True, help="List, show and cancel the jobs of a server, and fetch their reports.")

Server = Annotated[
    str,
    typer.Option(metavar="URL", envvar="ENXUTO_SERVER", help="The server.", rich_help_panel="Where"),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Its id: job_…")]


@app.command("list")
def list_jobs(
    state: Annotated[
        Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"] | None,
        typer.Option(help="Only those in this state."),
    ] = None,
    kind: Annotated[
        Literal["optimize", "compare", "benchmark", "profile", "inspect"] | None,
        typer.Option(help="Only those of this kind."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 20,
    server: Server = DEFAULT_SERVER,
    key: options.Key = None,
    as_json: options.AsJson = False,
) -> None:
    """List jobs, newest first."""
    from rich.table import Table
    from rich.text import Text

    from enxuto.cli.output import console, show_json

    with _client(server, key) as client:
        found = list(islice(client.jobs(state=state, kind=kind), limit))
    if as_json:
        show_json([job.document for job in found])
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("job", "kind", "state", "made", "what"):
        table.add_column(heading, no_wrap=heading != "what", overflow="fold")
    for job in found:
        table.add_row(*(Text(cell) for cell in _line(job)))
    console().print(table if found else "No jobs.")


@app.command()
def show(
    job_id: JobId, server: Server = DEFAULT_SERVER, key: options.Key = None, as_json: options.AsJson = False
) -> None:
    """Show a job as it stands. Exit code 1 where it failed or was cancelled."""
    from enxuto.cli.output import console, show_json

    with _client(server, key) as client:
        job = client.job(job_id)
    if as_json:
        show_json(job.document)
    else:
        for line in _told(job):
            console().print(line, markup=False, soft_wrap=True)
    raise typer.Exit(FAILED if job.state in ("failed", "cancelled") else OK)


@app.command()
def cancel(job_id: JobId, server: Server = DEFAULT_SERVER, key: options.Key = None) -> None:
    """Ask a job to end; one that runs keeps the best it has found."""
    with _client(server, key) as client:
        typer.echo(f"{job_id} is {client.cancel(job_id).state}.")


@app.command()
def report(
    job_id: JobId,
    server: Server = DEFAULT_SERVER,
    key: options.Key = None,
    out: options.Out = None,
    as_json: options.AsJson = False,
) -> None:
    """Print a job's report; with --out also fetch report.json, report.html, files for programs and optimized.onnx."""
    from enxuto.cli.output import show_report

    with _client(server, key) as client:
        found = client.report(job_id)
        if out is not None:
            client.deliver(job_id, out)
    show_report(found, as_json=as_json, out=out)


def _client(server: str, key: str | None) -> Client:
    from enxuto.client import Client

    return Client(server, key)


def _line(job: Job) -> tuple[str, ...]:
    state = job.state if job.ended else f"{job.state} {job.progress.fraction:.0%}"
    return job.id, job.kind, state, f"{job.created_at.astimezone():%m-%d %H:%M}", _what(job)


def _what(job: Job) -> str:
    if job.error:
        return job.error.detail
    if not job.ended:
        return job.seen.message
    result = job.result or {}
    return f"{result['verdict']}".replace("_", " ") if "verdict" in result else str(result.get("why", ""))


def _told(job: Job) -> Iterator[str]:
    from enxuto.errors import sentences

    yield f"{job.id}: {job.kind}, {job.state}"
    if not job.ended:
        yield f"{job.seen.phase}: {job.seen.message} ({job.seen.fraction:.0%})"
    if job.error:
        yield f"{sentences(job.error.detail, job.error.hint)} [{job.error.code}]"
    if why := (job.result or {}).get("why"):
        yield str(why)
    if job.has_report:
        yield f"Its report: enxuto jobs report {job.id}"
