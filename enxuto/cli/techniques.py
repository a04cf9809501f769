"""`enxuto techniques`: what recipes are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from enxuto.cli import options

if TYPE_CHECKING:
    from enxuto.techniques import Technique

_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def techniques(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="Only this one, with its parameters.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the techniques that recipes are made of, with their parameters."""
    from enxuto.cli.output import show_json

    known = {technique.model_fields["kind"].default: technique for technique in _all()}
    if kind is not None and kind not in known:
        raise typer.BadParameter(f"there is no technique '{kind}'; there are {', '.join(known)}", param_hint="KIND")
    chosen = list(known.values()) if kind is None else [known[kind]]
    if as_json:
        show_json([_document(technique) for technique in chosen])
    else:
        _print(chosen, in_full=kind is not None)


def _all() -> tuple[type[Technique], ...]:
    from typing import get_args

    from enxuto.techniques import AnyTechnique

    union, _ = get_args(AnyTechnique)
    members: tuple[type[Technique], ...] = get_args(union)
    return members


def _document(technique: type[Technique]) -> dict[str, Any]:
    """As `GET /v1/techniques` has it."""
    return {
        "kind": technique.model_fields["kind"].default,
        "summary": _summary(technique),
        "lossless": technique.lossless,
        "needs_calibration": technique.needs_calibration,
        "parameters": technique.model_json_schema(),
    }


def _summary(technique: type[Technique]) -> str:
    from inspect import cleandoc

    return cleandoc(technique.__doc__ or "")


def _print(chosen: list[type[Technique]], *, in_full: bool) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from enxuto.cli.output import console

    out = console()
    for number, technique in enumerate(chosen):
        summary = _summary(technique)
        out.print(*([Text()] if number else []), Text(technique.model_fields["kind"].default, style="bold"), sep="\n")
        out.print(Padding(Text(summary if in_full else summary.splitlines()[0]), (0, 0, 0, 2), expand=False))
        for line in _parameters(technique, in_full=in_full):
            out.print(Padding(line, (0, 0, 0, 4), expand=False))


def _parameters(technique: type[Technique], *, in_full: bool) -> list[Any]:
    from rich.text import Text

    properties = technique.model_json_schema()["properties"]
    lines = []
    for name, schema in properties.items():
        if name != "kind":
            told = Text.assemble((name, "bold"), f" = {schema.get('default')!r}  ", (_values(schema), "dim"))
            lines.append(told.append(f"  {schema.get('description', '')}") if in_full else told)
    return lines


def _values(schema: dict[str, Any]) -> str:
    """What a parameter may be."""
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    bounds = [f"{sign} {schema[name]:g}" for name, sign in _BOUNDS.items() if name in schema]
    return " ".join([str(schema.get("type", "any")), *bounds])
