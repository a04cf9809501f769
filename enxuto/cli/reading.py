"""What was typed becomes what the library takes; what cannot be read is a usage error that names its option."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError

from enxuto.goal import MaxDrop
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.recipe import Recipe
from enxuto.refusal import refusal
from enxuto.schema import Value
from enxuto.settings import DEFAULT_SETTINGS, RunSettings, RuntimeName
from enxuto.workload import Workload

V = TypeVar("V", bound=Value)
T = TypeVar("T")

_RECIPE: TypeAdapter[Recipe] = TypeAdapter(Recipe)
_METRIC: TypeAdapter[Metric] = TypeAdapter(Metric)
_PREPROCESSING: TypeAdapter[Preprocessing] = TypeAdapter(Preprocessing)
_RUN_SETTINGS: TypeAdapter[RunSettings] = TypeAdapter(RunSettings)
_OPTIONS = {"value": "--max-drop", "relative": "--absolute", "dims": "--dim", "deadline_s": "--deadline"}
"""Options that are not called as the field they set."""
_METRIC_DETAILS = {
    "top_k": "k",
    "agreement": "by",
    "spearman": "of",
    "psnr": "peak",
    "binary_cross_entropy": "of",
    "expression": "expression",
}
"""What stands behind the colon, by kind of metric."""
_COUNTED = frozenset({"top_k", "psnr"})
_DIGITS = 9
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def valid(kind: type[V], options: Mapping[str, str] | None = None, /, **fields: Any) -> V:
    """A value of the library; what it refuses is told by option: ``options`` by field, where names differ."""
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = next((str(part) for part in reversed(first["loc"]) if isinstance(part, str)), "")
        known = {**_OPTIONS, **(options or {})}
        option = known.get(name) or (f"--{name.replace('_', '-')}" if name else None)
        raise typer.BadParameter(refusal(first), param_hint=option) from error


def share(text: str, option: str) -> float:
    """``1%`` and ``0.01`` are the same."""
    number = text.strip().removesuffix("%")
    try:
        value = Decimal(number) / (100 if "%" in text else 1)
    except InvalidOperation as error:
        raise typer.BadParameter(f"'{text}' is no share: try 1% or 0.01", param_hint=option) from error
    return float(value)


def max_drop(limit: str | None, confidence: str | None, absolute: bool) -> MaxDrop | None:
    """None for 'none'; the library's defaults where nothing was typed."""
    if limit == "none":
        return None
    fields: dict[str, Any] = {"relative": not absolute}
    if limit is not None:
        fields["value"] = share(limit, "--max-drop")
    if confidence is not None:
        fields["confidence"] = share(confidence, "--confidence")
    return valid(MaxDrop, **fields)


def workload(
    batch_size: int,
    threads: int,
    dims: list[str] | None,
    runtimes: list[RuntimeName] | None = None,
    *,
    fixed_shapes: bool = True,
) -> Workload:
    sizes = dict(_dim(text) for text in dims or [])
    allowed = {} if runtimes is None else {"runtimes": runtimes}
    return valid(Workload, batch_size=batch_size, threads=threads, dims=sizes, fixed_shapes=fixed_shapes, **allowed)


def _dim(text: str) -> tuple[str, int]:
    name, equals, size = text.rpartition("=")
    if not equals or not name or not size.isdecimal():
        raise typer.BadParameter(f"'{text}' is not NAME=SIZE, such as sequence=128", param_hint="--dim")
    return name, int(size)


def seconds(text: str | None, option: str = "--deadline") -> float | None:
    """``90``, ``90s``, ``10m``, ``2h``."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h|)", text.strip())
    if not match:
        raise typer.BadParameter(f"'{text}' is no time: try 90, 10m or 2h", param_hint=option)
    return float(match[1]) * _SECONDS[match[2]]


def counts(text: str | None, option: str) -> list[int] | None:
    """``1,2,4``: whole numbers above zero, each once."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and part.strip("0") for part in parts):
        raise typer.BadParameter(f"'{text}' is no list of numbers above zero, such as 1,2,4", param_hint=option)
    if any(len(part) > _DIGITS for part in parts):
        raise typer.BadParameter(f"a number with more than {_DIGITS} digits is beyond any machine", param_hint=option)
    return list(dict.fromkeys(int(part) for part in parts))


def settings(text: str | None, option: str) -> RunSettings | None:
    """A runtime's name, or JSON (in a file or itself) that says how the runtime is set up."""
    if text is None:
        return None
    if text in DEFAULT_SETTINGS:
        return DEFAULT_SETTINGS[text]
    if text.lstrip().startswith("{") or Path(text).suffix == ".json":
        return _from_json(_RUN_SETTINGS, _json(text, option), option)
    known = " or ".join(DEFAULT_SETTINGS)
    raise typer.BadParameter(f"there is no runtime '{text}': try {known}, or JSON", param_hint=option)


def runtimes(texts: list[str] | None) -> list[RuntimeName] | None:
    """Names alone."""
    if not texts:
        return None
    for text in texts:
        if text not in DEFAULT_SETTINGS:
            known = " or ".join(DEFAULT_SETTINGS)
            raise typer.BadParameter(f"there is no runtime '{text}': try {known}", param_hint="--runtime")
    names: dict[str, RuntimeName] = {name: name for name in DEFAULT_SETTINGS}
    return list(dict.fromkeys(names[text] for text in texts))


def recipe(text: str | None) -> Recipe | None:
    """A JSON file, JSON itself, or kinds of techniques separated by commas."""
    if text is None:
        return None
    option = "--recipe"
    if text.lstrip().startswith("[") or Path(text).suffix == ".json" or Path(text).is_file():
        return _from_json(_RECIPE, _json(text, option), option)
    return _checked(_RECIPE, [{"kind": kind.strip()} for kind in text.split(",")], option)


def metric(text: str | None) -> Metric | None:
    """``top_k:5``, ``agreement:cosine``, ``expression:mean(abs(output - labels))``, JSON, or a file that holds it."""
    if text is None:
        return None
    if text.lstrip().startswith("{") or Path(text).suffix == ".json":
        return _from_json(_METRIC, _json(text, "--metric"), "--metric")
    kind, _, detail = text.partition(":")
    given: dict[str, object] = {"kind": kind}
    if detail and kind in _METRIC_DETAILS:
        given[_METRIC_DETAILS[kind]] = _number(detail) if kind in _COUNTED else detail.strip()
    elif detail:
        given["detail"] = detail
    return _checked(_METRIC, given, "--metric")


def _number(text: str) -> int | float | str:
    """As it is where it is none, for the library to refuse."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def preprocessing(text: str | None) -> Preprocessing:
    return {} if text is None else _from_json(_PREPROCESSING, _json(text, "--preprocessing"), "--preprocessing")


def _json(text: str, option: str) -> str:
    if text.lstrip().startswith(("[", "{")):
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"'{text}' cannot be read: {error.strerror}", param_hint=option) from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"'{text}' is no JSON file: it is not text", param_hint=option) from error


def _from_json(adapter: TypeAdapter[T], text: str, option: str) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise typer.BadParameter(_faults(error), param_hint=option) from error


def _checked(adapter: TypeAdapter[T], given: object, option: str) -> T:
    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        raise typer.BadParameter(_faults(error), param_hint=option) from error


def _faults(error: ValidationError) -> str:
    """Each with the place where it stands."""
    told = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"])
        told.append(f"{place}: {refusal(fault)}" if place else refusal(fault))
    return "; ".join(told)
