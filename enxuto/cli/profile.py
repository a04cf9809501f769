"""`enxuto profile`: where the time of a call goes."""

from __future__ import annotations

from typing import Annotated

import typer

from enxuto.cli import options


def profile(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file.")],
    against: Annotated[
        str | None, typer.Argument(metavar="[AGAINST]", help="A model to lay beside it, node groups matched.")
    ] = None,
    data: options.InputData = None,
    batch_size: options.BatchSize = 1,
    threads: options.Threads = 1,
    dim: options.Dim = None,
    runtime: options.Runtime = None,
    against_runtime: options.AgainstRuntime = None,
    preprocessing: options.Preprocessing = None,
    seed: options.Seed = 0,
    server: options.Server = None,
    key: options.Key = None,
    out: options.Out = None,
    as_json: options.AsJson = False,
) -> None:
    """Say where the time of a call goes, node by node, and how near each comes to what this machine can do.

    What the machine can do at most (FP32, INT8, memory) is measured by the first profile and remembered.

    enxuto profile m.onnx --batch-size 8

    enxuto profile lean.onnx original.onnx -o out/
    """
    from enxuto.cli import reading
    from enxuto.cli.output import show_report
    from enxuto.cli.places import given_file, place
    from enxuto.cli.progress import shown
    from enxuto.request import ProfileOptions

    if against is None and against_runtime is not None:
        raise typer.BadParameter("says nothing without a second model", param_hint="--against-runtime")
    asked = reading.valid(
        ProfileOptions,
        settings=reading.settings(runtime, "--runtime"),
        against_settings=reading.settings(against_runtime, "--against-runtime"),
        preprocessing=reading.preprocessing(preprocessing),
        workload=reading.workload(batch_size, threads, dim),
        seed=seed,
    )
    model = given_file(model, server, "mdl_", "MODEL")
    against = against and given_file(against, server, "mdl_", "AGAINST")
    data = data and given_file(data, server, "dst_", "--data")
    with place(server, key) as where, shown() as progress:
        report = where.profile(
            model,
            against,
            data,
            settings=asked.settings,
            against_settings=asked.against_settings,
            preprocessing=asked.preprocessing,
            workload=asked.workload,
            seed=asked.seed,
            out=out,
            progress=progress,
        )
    show_report(report, as_json=as_json, out=out)
