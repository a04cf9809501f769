"""Reads the names of symbolic axes from an ONNX file: OpenVINO forgets them, and a workload goes by them.

Only the signature is read, byte by byte as the wire format of protocol buffers has it (protobuf.dev/programming-guides/
encoding), since the packages that know ONNX would count as the memory of every model that is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

Axes = list[int | str | None]

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_GRAPH, _INPUT, _OUTPUT = 7, 11, 12
_NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _DIM, _DIM_VALUE, _DIM_PARAM = 1, 2, 1, 2, 1, 1, 2


def read_axes(path: Path) -> tuple[dict[str, Axes | None], dict[str, Axes | None]]:
    """Axes of each input and of each output by its name, in the file's order; None for an unknown rank.

    The file is one that a runtime has read before; what breaks the format raises ValueError.
    """
    inputs: dict[str, Axes | None] = {}
    outputs: dict[str, Axes | None] = {}
    with path.open("rb") as file:
        for field, graph in _fields(file, 0, path.stat().st_size):
            if field != _GRAPH or not isinstance(graph, range):
                continue
            for part, value in _fields(file, graph.start, graph.stop):
                if part in (_INPUT, _OUTPUT) and isinstance(value, range):
                    name, axes = _value(file, value)
                    (inputs if part == _INPUT else outputs)[name] = axes
    return inputs, outputs


def _value(file: BufferedReader, info: range) -> tuple[str, Axes | None]:
    name = _text(file, _inner(file, info, _NAME))
    shape = _inner(file, _inner(file, _inner(file, info, _TYPE), _TENSOR_TYPE), _SHAPE)
    if shape is None:
        return name, None
    dims = [dim for field, dim in _fields(file, shape.start, shape.stop) if field == _DIM and isinstance(dim, range)]
    return name, [_axis(file, dim) for dim in dims]


def _axis(file: BufferedReader, dim: range) -> int | str | None:
    for field, found in _fields(file, dim.start, dim.stop):
        if field == _DIM_VALUE and isinstance(found, int):
            return found if found < 1 << 63 else None  # negative, as it stands on the wire
        if field == _DIM_PARAM and isinstance(found, range):
            return _text(file, found) or None
    return None


def _inner(file: BufferedReader, outer: range | None, wanted: int) -> range | None:
    """Where the message that is this field lies."""
    if outer is None:
        return None
    found = (place for field, place in _fields(file, outer.start, outer.stop) if field == wanted)
    return next((place for place in found if isinstance(place, range)), None)


def _text(file: BufferedReader, place: range | None) -> str:
    if place is None:
        return ""
    file.seek(place.start)
    return file.read(len(place)).decode("utf-8", errors="replace")


def _fields(file: BufferedReader, start: int, end: int) -> Iterator[tuple[int, int | range | None]]:
    """Number of each field with what it holds: a number, or where its bytes lie; None where that does not matter."""
    at = start
    while at < end:
        file.seek(at)
        field, wire_type = divmod(_varint(file), 8)
        held: int | range | None = None
        if wire_type == _VARINT:
            held = _varint(file)
            at = file.tell()
        elif wire_type == _DELIMITED:
            length = _varint(file)
            held = range(file.tell(), file.tell() + length)
            at = held.stop
        else:
            at = file.tell() + _FIXED_BYTES[wire_type]
        yield field, held


def _varint(file: BufferedReader) -> int:
    number = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
    raise ValueError("the file ends within a number")
