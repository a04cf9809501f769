"""`enxuto benchmark`: what load a model carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from enxuto.cli import options
from enxuto.cli.exits import FAILED, OK

if TYPE_CHECKING:
    from enxuto.cli.load_options import Typed
    from enxuto.report import BenchmarkReport

_LOAD, _SERVING = "Load", "Serving plan"
Kind = Literal["offline", "single_stream", "multi_stream", "server"]


def benchmark(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file.")],
    data: options.InputData = None,
    scenario: Annotated[
        Kind,
        typer.Option(
            help="How requests come: all at once, one after the other, several at a time, or by chance at a rate.",
            rich_help_panel=_LOAD,
        ),
    ] = "offline",
    batch_sizes: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="offline: batch sizes to measure, such as 1,2,4. By default the knee is searched.",
            rich_help_panel=_LOAD,
        ),
    ] = None,
    threads: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Threads of one copy; offline: one or several, such as 1,2.", rich_help_panel=_LOAD
        ),
    ] = "1",
    instances: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="offline, server: copies that run at the same time; offline: one or several, such as 1,2.",
            rich_help_panel=_LOAD,
        ),
    ] = None,
    samples_per_query: Annotated[
        int | None, typer.Option(help="multi_stream: samples in each request (default: 8).", rich_help_panel=_LOAD)
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(help="server: what the percentile of the latency must not exceed.", rich_help_panel=_LOAD),
    ] = None,
    percentile: Annotated[
        float | None,
        typer.Option(help="server: which percentile of the latency (default: 99).", rich_help_panel=_LOAD),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="server: requests a second; by default the highest rate that holds is searched.", rich_help_panel=_LOAD
        ),
    ] = None,
    max_batch: Annotated[
        int | None, typer.Option(help="server: requests gathered into one call, at most.", rich_help_panel=_LOAD)
    ] = None,
    max_delay_ms: Annotated[
        float | None,
        typer.Option(help="server: how long the first request of a batch waits for others.", rich_help_panel=_LOAD),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="All but offline: how long each run is (default: 10 s).", rich_help_panel=_LOAD
        ),
    ] = None,
    memory_mb: Annotated[
        float | None,
        typer.Option(
            help="offline: find the largest batch whose process stays within this, in 10^6 bytes.",
            rich_help_panel=_LOAD,
        ),
    ] = None,
    serve_p95_ms: Annotated[
        float | None,
        typer.Option(
            help="Make a serving plan whose 95th percentile of the latency stays within this.",
            rich_help_panel=_SERVING,
        ),
    ] = None,
    serve_rate: Annotated[
        float | None,
        typer.Option(
            help="Requests a second that it carries; by default the most that the limits allow.",
            rich_help_panel=_SERVING,
        ),
    ] = None,
    serve_memory_mb: Annotated[
        float | None,
        typer.Option(help="Highest memory of the serving process, in 10^6 bytes.", rich_help_panel=_SERVING),
    ] = None,
    serve_max_batch: Annotated[
        int | None, typer.Option(help="Largest batch that it may gather.", rich_help_panel=_SERVING)
    ] = None,
    serve_check: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long the plan is checked by a real load (default: 10 s).",
            rich_help_panel=_SERVING,
        ),
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUNTIME",
            help=f"What the model is run by (default: each that is there; the first in other scenarios than offline). "
            f"May be repeated. {options.RUNTIME_HELP}",
            rich_help_panel=options.CONDITIONS,
        ),
    ] = None,
    preprocessing: options.Preprocessing = None,
    dim: options.Dim = None,
    deadline: options.Deadline = None,
    seed: options.Seed = 0,
    server: options.Server = None,
    key: options.Key = None,
    out: options.Out = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure what load MODEL carries: batches, requests, and what it takes to serve it.

    Offline it finds the knee by itself: where larger batches stop paying. With --serve-p95-ms it makes a serving plan
    and checks it by a real load; --out then holds a Triton config.pbtxt and a short Python server.

    Exit code 1 where what was asked does not hold: a --rate within --latency-ms, a --serve-p95-ms, a --memory-mb, or
    where nothing could be measured at all.

    enxuto benchmark m.onnx --runtime onnxruntime --memory-mb 500

    enxuto benchmark m.onnx --scenario server --latency-ms 20 --rate 100

    enxuto benchmark m.onnx --serve-p95-ms 20 --serve-rate 200 -o out/
    """
    from enxuto.cli import reading
    from enxuto.cli.load_options import scenario_of, serving_goal
    from enxuto.cli.output import show_report
    from enxuto.cli.places import given_file, place
    from enxuto.cli.progress import shown
    from enxuto.request import BenchmarkOptions

    each = reading.counts(threads, "--threads") or []
    typed: Typed = {
        "--batch-sizes": reading.counts(batch_sizes, "--batch-sizes"),
        "--threads": each if len(each) > 1 else None,
        "--instances": reading.counts(instances, "--instances"),
        "--samples-per-query": samples_per_query,
        "--latency-ms": latency_ms,
        "--percentile": percentile,
        "--rate": rate,
        "--max-batch": max_batch,
        "--max-delay-ms": max_delay_ms,
        "--duration": reading.seconds(duration, "--duration"),
        "--memory-mb": memory_mb,
        "--serve-p95-ms": serve_p95_ms,
        "--serve-rate": serve_rate,
        "--serve-memory-mb": serve_memory_mb,
        "--serve-max-batch": serve_max_batch,
        "--serve-check": reading.seconds(serve_check, "--serve-check"),
    }
    found = [reading.settings(one, "--runtime") for one in runtime or []]
    asked = reading.valid(
        BenchmarkOptions,
        scenario=scenario_of(scenario, typed),
        settings=[one for one in found if one] or None,
        memory_mb=memory_mb,
        serving=serving_goal(typed),
        preprocessing=reading.preprocessing(preprocessing),
        workload=reading.workload(1, each[0], dim),
        deadline_s=reading.seconds(deadline),
        seed=seed,
    )
    model = given_file(model, server, "mdl_", "MODEL")
    data = data and given_file(data, server, "dst_", "--data")
    with place(server, key) as where, shown() as progress:
        report = where.benchmark(
            model,
            data,
            asked.scenario,
            settings=asked.settings,
            memory_mb=asked.memory_mb,
            serving=asked.serving,
            preprocessing=asked.preprocessing,
            workload=asked.workload,
            deadline_s=asked.deadline_s,
            seed=asked.seed,
            out=out,
            progress=progress,
        )
    show_report(report, as_json=as_json, out=out)
    raise typer.Exit(OK if holds(report) else FAILED)


def holds(report: BenchmarkReport) -> bool:
    """Whether what was asked of the model holds; where nothing was asked, whether anything could be measured."""
    from enxuto.scenario import Server

    request = report.request
    measured = [*(point.outcome for point in report.points), *(run.outcome for run in report.runs)]
    if "measured" not in measured:
        return False
    if isinstance(request.scenario, Server):
        return report.scenario is not None and report.scenario.value is not None
    fits = request.memory_mb is None or any(largest.batch_size for largest in report.largest_batches)
    return fits and (request.serving is None or (report.plan is not None and report.plan.holds is True))
