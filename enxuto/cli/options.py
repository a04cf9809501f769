"""The options that several commands share; what they mean is read in `enxuto.cli.reading`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_GOAL, _DATA, _CONDITIONS, _WHERE, _OUTPUT = "Goal", "Data", "Conditions", "Where", "Output"

Data = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Evaluation data: .npz or .safetensors, one array an input, 'labels' where there are any. Without it "
        "nothing is known of accuracy.",
        rich_help_panel=_DATA,
    ),
]
Calibration = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Calibration data. By default a part of the evaluation data that judges nothing.",
        rich_help_panel=_DATA,
    ),
]
Preprocessing = Annotated[
    str | None,
    typer.Option(
        metavar="JSON",
        help="How stored samples become inputs: a JSON file, or JSON itself, by input name: "
        '\'{"input": {"scale": 0.00392, "from": "NHWC", "to": "NCHW"}}\'.',
        rich_help_panel=_DATA,
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        metavar="METRIC",
        help="What accuracy means: top_k:5, mean_squared_error, agreement:cosine, spearman, perplexity, psnr:255, "
        "binary_cross_entropy, 'expression:mean(abs(output - labels))', or JSON or a file of it, as "
        "mean_average_precision needs. By default it follows from the labels.",
        rich_help_panel=_DATA,
    ),
]
MaxDrop = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="How much of the metric may be lost: 1%, 0.01, or 'none' for no limit.",
        rich_help_panel=_GOAL,
    ),
]
Confidence = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="How surely the loss stays below --max-drop; 50% is the point estimate (default: 95%).",
        rich_help_panel=_GOAL,
    ),
]
Absolute = Annotated[
    bool,
    typer.Option(
        "--absolute",
        help="--max-drop is in the metric's own unit instead of a share of the original's.",
        rich_help_panel=_GOAL,
    ),
]
BatchSize = Annotated[int, typer.Option(help="Samples in one call.", rich_help_panel=_CONDITIONS)]
Threads = Annotated[int, typer.Option(help="Threads inside one operator.", rich_help_panel=_CONDITIONS)]
RUNTIME_HELP = (
    "onnxruntime or openvino, or JSON (a file, or itself) that says how it is set up: "
    '\'{"runtime": "onnxruntime", "spinning": false}\'.'
)
Runtime = Annotated[
    str | None,
    typer.Option(metavar="RUNTIME", help=f"What the model is run by: {RUNTIME_HELP}", rich_help_panel=_CONDITIONS),
]
AgainstRuntime = Annotated[
    str | None,
    typer.Option(
        metavar="RUNTIME", help="The same for the model that it is held against.", rich_help_panel=_CONDITIONS
    ),
]
Margin = Annotated[
    str,
    typer.Option(
        metavar="SHARE",
        help="Two times closer than this share of each other count as equal: 3%, 0.03.",
        rich_help_panel=_GOAL,
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="After this time the best so far is the answer: 90, 10m, 2h.",
        rich_help_panel=_CONDITIONS,
    ),
]
InputData = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="Samples to run the model on: .npz or .safetensors, one array an input. Without it, inputs are drawn by "
        "chance.",
        rich_help_panel=_DATA,
    ),
]
Dim = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=SIZE",
        help="Size of a symbolic dimension that the data does not settle. May be repeated.",
        rich_help_panel=_CONDITIONS,
    ),
]
Seed = Annotated[int, typer.Option(help="Splits, orders and samples follow from it.", rich_help_panel=_CONDITIONS)]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="ENXUTO_SERVER",
        help="Do it on this server instead of here. Models and data there may be given by id.",
        rich_help_panel=_WHERE,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="KEY", envvar="ENXUTO_KEY", help="The server's key.", rich_help_panel=_WHERE),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FOLDER", help="Folder for what comes out.", rich_help_panel=_OUTPUT),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON to standard output and nothing else.", rich_help_panel=_OUTPUT)
]
GOAL, CONDITIONS = _GOAL, _CONDITIONS
