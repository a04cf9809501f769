"""Which other files an ONNX model's weights lie in, read from its bytes without the packages that know the format.

Only lengths are followed, so that tensors are skipped wherever they are; the file is mapped, not read. What cannot be
made sense of names nothing here: whether it is a model is for the server to say.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

Buffer = mmap.mmap | bytes
Span = tuple[int, int]

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
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = {str(PurePosixPath(location)) for location in _locations(data, (0, len(data)), "model", 0)}
    except (ValueError, IndexError, OSError):  # empty, cut short, or none at all
        return []
    return sorted(location for location in found if _is_below(location))


def _locations(data: Buffer, span: Span, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if kind == "tensor":
        yield from _location(data, span)
        return
    for number, inner in _fields(data, span):
        if (child := _INSIDE[kind].get(number)) and not isinstance(inner, int):
            yield from _locations(data, inner, child, depth + 1)


def _location(data: Buffer, tensor: Span) -> Iterator[str]:
    fields = list(_fields(data, tensor))
    if (_DATA_LOCATION, _EXTERNAL) not in fields:
        return
    for entry in (inner for number, inner in fields if number == _EXTERNAL_DATA and not isinstance(inner, int)):
        texts = {number: bytes(data[slice(*at)]) for number, at in _fields(data, entry) if not isinstance(at, int)}
        if texts.get(_KEY) == b"location":
            yield texts.get(_VALUE, b"").decode()


def _fields(data: Buffer, span: Span) -> Iterator[tuple[int, Span | int]]:
    """Number of each field, with its place where it has a length, or its value where it is a whole number."""
    here, end = span
    while here < end:
        tag, here = _number(data, here, end)
        match tag & 7:
            case 0:
                value, here = _number(data, here, end)
                yield tag >> 3, value
            case 1:
                here += 8
            case 5:
                here += 4
            case 2:
                length, here = _number(data, here, end)
                if here + length > end:
                    raise ValueError("a field reaches beyond its message")
                yield tag >> 3, (here, here + length)
                here += length
            case _:
                raise ValueError("no protocol buffer")


def _number(data: Buffer, here: int, end: int) -> tuple[int, int]:
    """A varint and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if here >= end:
            break
        byte = data[here]
        here += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, here
    raise ValueError("a number is cut short")


def _is_below(location: str) -> bool:
    path = PurePosixPath(location)
    return location not in ("", ".") and not path.is_absolute() and ".." not in path.parts
