"""`enxuto compare`: judge one model against another."""

from __future__ import annotations

from typing import Annotated

import typer

from enxuto.cli import options
from enxuto.cli.exits import FAILED, OK


def compare(
    original: Annotated[str, typer.Argument(metavar="ORIGINAL", help="The model that counts as the reference.")],
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="The model that is judged against it.")],
    data: options.Data = None,
    max_drop: options.MaxDrop = None,
    confidence: options.Confidence = None,
    absolute: options.Absolute = False,
    min_speedup: Annotated[
        float | None,
        typer.Option(help="How many times as fast it must be, with the whole interval.", rich_help_panel=options.GOAL),
    ] = None,
    max_size_ratio: Annotated[
        float | None, typer.Option(help="Its file over the original's, at most.", rich_help_panel=options.GOAL)
    ] = None,
    max_memory_ratio: Annotated[
        float | None, typer.Option(help="Its peak memory over the original's, at most.", rich_help_panel=options.GOAL)
    ] = None,
    margin: options.Margin = "3%",
    metric: options.Metric = None,
    preprocessing: options.Preprocessing = None,
    batch_size: options.BatchSize = 1,
    threads: options.Threads = 1,
    dim: options.Dim = None,
    runtime: options.Runtime = None,
    against_runtime: options.AgainstRuntime = None,
    seed: options.Seed = 0,
    server: options.Server = None,
    key: options.Key = None,
    out: options.Out = None,
    as_json: options.AsJson = False,
) -> None:
    """Judge CANDIDATE against ORIGINAL: speed, accuracy, memory, size, each with its interval.

    The original comes first: a speedup above 1 says that the candidate is faster, a loss that it is worse. It passes
    when every threshold given holds; with none given, when nothing got worse. Exit code 0 only when it passed.

    enxuto compare original.onnx lean.onnx --data eval.npz --max-drop 0.5% --min-speedup 1.2

    enxuto compare m.onnx m.onnx --against-runtime onnxruntime --runtime openvino
    """
    from enxuto.cli import reading
    from enxuto.cli.output import show_report
    from enxuto.cli.places import given_file, place
    from enxuto.cli.progress import shown
    from enxuto.goal import Thresholds
    from enxuto.request import CompareOptions

    if max_drop is None and (absolute or confidence):
        raise typer.BadParameter(
            "says nothing without --max-drop", param_hint="--absolute" if absolute else "--confidence"
        )
    thresholds = reading.valid(
        Thresholds,
        max_drop=None if max_drop is None else reading.max_drop(max_drop, confidence, absolute),
        min_speedup=min_speedup,
        max_size_ratio=max_size_ratio,
        max_memory_ratio=max_memory_ratio,
    )
    asked = reading.valid(
        CompareOptions,
        thresholds=thresholds,
        settings=reading.settings(runtime, "--runtime"),
        against_settings=reading.settings(against_runtime, "--against-runtime"),
        preprocessing=reading.preprocessing(preprocessing),
        metric=reading.metric(metric),
        margin=reading.share(margin, "--margin"),
        workload=reading.workload(batch_size, threads, dim),
        seed=seed,
    )
    original = given_file(original, server, "mdl_", "ORIGINAL")
    candidate = given_file(candidate, server, "mdl_", "CANDIDATE")
    data = data and given_file(data, server, "dst_", "--data")
    with place(server, key) as where, shown() as progress:
        report = where.compare(
            candidate,
            original,
            data,
            asked.thresholds,
            settings=asked.settings,
            against_settings=asked.against_settings,
            preprocessing=asked.preprocessing,
            metric=asked.metric,
            margin=asked.margin,
            workload=asked.workload,
            seed=asked.seed,
            out=out,
            progress=progress,
        )
    show_report(report, as_json=as_json, out=out)
    raise typer.Exit(OK if report.passed else FAILED)
