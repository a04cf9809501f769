"""Which files a step reads and which a result names, told from their types, so that no kind of step is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from enxuto.schema import Digest, Value


def digests_of(step: Value) -> list[str]:
    """Every digest that stands in a step, each once."""
    return list(dict.fromkeys(_digests(type(step), step)))


def files_named_in(result: Value) -> list[str]:
    """Every file that a result says its step left: fields called ``file``, ``…_file`` and ``…_files``."""
    return list(dict.fromkeys(_named(result)))


@cache
def _hints(kind: type[BaseModel]) -> dict[str, object]:
    return get_type_hints(kind, include_extras=True)


def _digests(hint: object, value: object) -> Iterator[str]:
    """Follow a value along its type: only what is declared a digest is one, whatever it looks like."""
    if hint == Digest:
        if isinstance(value, str):
            yield value
    elif isinstance(value, BaseModel):
        for name, inner in value:
            yield from _digests(_hints(type(value)).get(name), inner)
    elif get_origin(hint) is Annotated:
        yield from _digests(get_args(hint)[0], value)
    elif isinstance(value, Mapping):
        for pair in value.items():
            for arm, inner in zip(_items(hint, Mapping) or (None, None), pair, strict=True):
                yield from _digests(arm, inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            for arm in _items(hint, Sequence) or (None,):
                yield from _digests(arm, inner)
    else:
        for arm in get_args(hint):
            yield from _digests(arm, value)


def _items(hint: object, kind: type) -> tuple[object, ...]:
    """What the items of a collection are, through unions such as ``list[Digest] | None``."""
    origin = get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, kind):
        return get_args(hint)
    return next((found for arm in get_args(hint) if (found := _items(arm, kind))), ())


def _named(value: object) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for field, inner in value:
            if field == "file" or field.endswith(("_file", "_files")):
                yield from _strings(inner)
            else:
                yield from _named(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _named(inner)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (name for name in value.values() if isinstance(name, str))
    elif isinstance(value, Sequence):
        yield from (name for name in value if isinstance(name, str))
