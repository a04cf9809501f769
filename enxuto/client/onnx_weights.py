"""Which other files an ONNX model's weights lie in, read from its bytes without the packages that know the format.

What cannot be made sense of names nothing here: whether it is a model is for the server to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path, PurePosixPath

from enxuto.wire import content, fields

_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor", 6: "graph", 11: "graph"},
}
"""Messages of onnx.proto that lead to a tensor, by the number of the field that holds them."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
"""Of a tensor."""
_EXTERNAL, _KEY, _VALUE = 1, 1, 2
_DEEPEST = 64


def files_beside(path: Path) -> list[str]:
    """Paths below the model's folder, each once; none for most."""
    try:
        with path.open("rb") as file:
            whole = range(path.stat().st_size)
            found = {str(PurePosixPath(location)) for location in _locations(file, whole, "model", 0)}
    except (ValueError, OSError):  # cut short, or none at all
        return []
    return sorted(location for location in found if _is_below(location))


def _locations(file: BufferedReader, message: range, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if kind == "tensor":
        yield from _location(file, message)
        return
    for number, inner in fields(file, message):
        if (child := _INSIDE[kind].get(number)) and isinstance(inner, range):
            yield from _locations(file, inner, child, depth + 1)


def _location(file: BufferedReader, tensor: range) -> Iterator[str]:
    held = list(fields(file, tensor))
    if (_DATA_LOCATION, _EXTERNAL) not in held:
        return
    for entry in (inner for number, inner in held if number == _EXTERNAL_DATA and isinstance(inner, range)):
        texts = {number: content(file, at) for number, at in fields(file, entry) if isinstance(at, range)}
        if texts.get(_KEY) == b"location":
            yield texts.get(_VALUE, b"").decode()


def _is_below(location: str) -> bool:
    path = PurePosixPath(location)
    return location not in ("", ".") and not path.is_absolute() and ".." not in path.parts
