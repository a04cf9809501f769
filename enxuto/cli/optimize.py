"""`enxuto optimize`: make a model lean."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from enxuto.cli import options


def optimize(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file.")],
    data: options.Data = None,
    calibration: options.Calibration = None,
    minimize: Annotated[
        Literal["latency", "size", "memory"] | None,
        typer.Option(help="What to make small (default: latency).", rich_help_panel=options.GOAL),
    ] = None,
    maximize: Annotated[
        Literal["throughput"] | None,
        typer.Option(help="What to make large instead: samples a second.", rich_help_panel=options.GOAL),
    ] = None,
    max_drop: options.MaxDrop = None,
    confidence: options.Confidence = None,
    absolute: options.Absolute = False,
    p95_ms: Annotated[
        float | None,
        typer.Option(help="Highest 95th percentile of a call, in milliseconds.", rich_help_panel=options.GOAL),
    ] = None,
    size_mb: Annotated[
        float | None, typer.Option(help="Largest file, in 10^6 bytes.", rich_help_panel=options.GOAL)
    ] = None,
    memory_mb: Annotated[
        float | None,
        typer.Option(
            help="Highest peak memory of a process that runs it, in 10^6 bytes.", rich_help_panel=options.GOAL
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            help="Apply these techniques instead of searching: a JSON file, JSON itself, or kinds separated by commas: "
            "graph_optimization,static_int8. See `enxuto techniques`.",
            rich_help_panel=options.GOAL,
        ),
    ] = None,
    processors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROCESSOR",
            help="Kind of processor that the result must hold its accuracy on, beside this machine's own: x86_vnni, "
            "x86_avx2 or arm. May be repeated.",
            rich_help_panel=options.GOAL,
        ),
    ] = None,
    earlier: Annotated[
        str | None,
        typer.Option(
            metavar="REPORT",
            help="Answer this goal from what an earlier search measured on the same model and data: its report.json, "
            "or with --server its job's id.",
            rich_help_panel=options.GOAL,
        ),
    ] = None,
    metric: options.Metric = None,
    preprocessing: options.Preprocessing = None,
    batch_size: options.BatchSize = 1,
    threads: options.Threads = 1,
    dim: options.Dim = None,
    margin: options.Margin = "3%",
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUNTIME",
            help="Runtimes that candidates may be run by: onnxruntime, openvino (default: both). The original is run "
            "by the first. May be repeated.",
            rich_help_panel=options.CONDITIONS,
        ),
    ] = None,
    fixed_shapes: Annotated[
        bool,
        typer.Option(
            "--fixed-shapes/--changing-shapes",
            help="Whether all calls have the shapes of this workload, so that a runtime may compile for them alone.",
            rich_help_panel=options.CONDITIONS,
        ),
    ] = True,
    deadline: options.Deadline = None,
    seed: options.Seed = 0,
    server: options.Server = None,
    key: options.Key = None,
    out: options.Out = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a model lean, and prove it.

    Tries techniques under a goal (by default: lowest latency, at most 1% of the metric lost), measures each against the
    original, and recommends what is proven better, or the original. With --out: optimized.onnx, settings.json
    and load_model.py to run it as it was measured, report.json and report.html.

    enxuto optimize m.onnx --data eval.npz --max-drop 1% --minimize latency -o out/
    """
    from enxuto.cli import reading
    from enxuto.cli.output import show_report
    from enxuto.cli.places import given_file, place
    from enxuto.cli.progress import shown
    from enxuto.goal import Goal
    from enxuto.request import OptimizeOptions

    goal_options = _goal_options(minimize, maximize, max_drop, confidence, absolute, p95_ms, size_mb, memory_mb)
    if recipe is not None and goal_options:
        raise typer.BadParameter(f"a recipe is applied as it is; it takes no {goal_options[0]}", param_hint="--recipe")
    goal = None
    if recipe is None:
        limit = reading.max_drop(max_drop, confidence, absolute)
        limits = {"p95_ms": p95_ms, "size_mb": size_mb, "memory_mb": memory_mb}
        goal = reading.valid(Goal, minimize=minimize, maximize=maximize, max_drop=limit, **limits)
    asked = reading.valid(
        OptimizeOptions,
        goal=goal,
        recipe=reading.recipe(recipe),
        preprocessing=reading.preprocessing(preprocessing),
        metric=reading.metric(metric),
        margin=reading.share(margin, "--margin"),
        workload=reading.workload(batch_size, threads, dim, reading.runtimes(runtime), fixed_shapes=fixed_shapes),
        deadline_s=reading.seconds(deadline),
        seed=seed,
        processors=processors or [],
    )
    if earlier and server is None:
        given_file(earlier, server, "job_", "--earlier")
    model = given_file(model, server, "mdl_", "MODEL")
    data = data and given_file(data, server, "dst_", "--data")
    calibration = calibration and given_file(calibration, server, "dst_", "--calibration")
    with place(server, key) as where, shown() as progress:
        report = where.optimize(
            model,
            data,
            asked.goal,
            recipe=asked.recipe,
            calibration=calibration,
            preprocessing=asked.preprocessing,
            metric=asked.metric,
            margin=asked.margin,
            workload=asked.workload,
            deadline_s=asked.deadline_s,
            seed=asked.seed,
            processors=asked.processors,
            earlier=earlier,
            out=out,
            progress=progress,
        )
    show_report(report, as_json=as_json, out=out)


def _goal_options(*given: object) -> list[str]:
    """Options of a goal that were typed."""
    names = ("minimize", "maximize", "max-drop", "confidence", "absolute", "p95-ms", "size-mb", "memory-mb")
    return [f"--{name}" for name, value in zip(names, given, strict=True) if value not in (None, False)]
