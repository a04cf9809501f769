"""`enxuto inspect`: what a model file says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from enxuto.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enxuto.signature import ModelInspection, TensorSpec


def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file.")],
    server: options.Server = None,
    key: options.Key = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what a model file holds: inputs, outputs, operators, weights. It is read inside the sandbox."""
    from enxuto.cli.output import show_json
    from enxuto.cli.places import given_file

    found = _inspection(given_file(model, server, "mdl_", "MODEL"), server, key)
    if as_json:
        show_json(found.model_dump(mode="json"))
    else:
        _print(model, found)


def _inspection(model: str, server: str | None, key: str | None) -> ModelInspection:
    from pathlib import Path

    from enxuto.signature import ModelInspection

    if server is None:
        from enxuto.local import inspect as inspect_here

        return inspect_here(model)
    from enxuto.client import Client

    with Client(server, key) as client:
        seen = client.upload_model(model) if Path(model).is_file() else client.model(model)
        return ModelInspection.model_validate(seen.inspection)


def _print(name: str, found: ModelInspection) -> None:
    from rich.table import Table
    from rich.text import Text

    from enxuto.cli.output import console

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, told in _facts(name, found):
        table.add_row(label, Text(told))
    console().print(table)


def _facts(name: str, found: ModelInspection) -> Iterator[tuple[str, str]]:
    from enxuto.errors import sentences
    from enxuto.words import SPACE, size

    opsets = ", ".join(f"{domain} {opset}" for domain, opset in found.opsets.items())
    kind = f"{found.precision} weights{', quantized' if found.quantized else ''}"
    yield "model", f"{name}, {size(found.size_bytes).replace(SPACE, ' ')}"
    yield "format", f"{found.format}, opset {opsets}, written by {found.producer or 'nobody it names'}"
    yield "weights", f"{found.parameters:,} parameters, {kind}"
    for tensor in found.inputs:
        yield "input", _signature(tensor)
    for tensor in found.outputs:
        yield "output", _signature(tensor)
    operators = sorted(found.operators.items(), key=lambda counted: (-counted[1], counted[0]))
    yield "operators", ", ".join(f"{count} {operator}" for operator, count in operators)
    for one in found.advice:
        yield "advice", sentences(one.detail, one.hint)


def _signature(tensor: TensorSpec) -> str:
    if tensor.shape is None:
        return f"{tensor.name}: {tensor.dtype}, of unknown rank"
    return f"{tensor.name}: {tensor.dtype} [{', '.join('?' if axis is None else str(axis) for axis in tensor.shape)}]"
