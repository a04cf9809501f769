"""Reads the names of symbolic axes from an ONNX file: OpenVINO forgets them, and a workload goes by them.

Only the signature is read, since the packages that know ONNX would count as the memory of every model that is measured.
"""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

from enxuto.wire import content, fields

Axes = list[int | str | None]

_GRAPH, _INPUT, _OUTPUT = 7, 11, 12
_NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _DIM, _DIM_VALUE, _DIM_PARAM = 1, 2, 1, 2, 1, 1, 2


def read_axes(path: Path) -> tuple[dict[str, Axes | None], dict[str, Axes | None]]:
    """Axes of each input and of each output by its name, in the file's order; None for an unknown rank.

    The file is one that a runtime has read before; what breaks the format raises ValueError.
    """
    inputs: dict[str, Axes | None] = {}
    outputs: dict[str, Axes | None] = {}
    with path.open("rb") as file:
        for field, graph in fields(file, range(path.stat().st_size)):
            if field != _GRAPH or not isinstance(graph, range):
                continue
            for part, value in fields(file, graph):
                if part in (_INPUT, _OUTPUT) and isinstance(value, range):
                    name, axes = _value(file, value)
                    (inputs if part == _INPUT else outputs)[name] = axes
    return inputs, outputs


def _value(file: BufferedReader, info: range) -> tuple[str, Axes | None]:
    name = _text(file, _inner(file, info, _NAME))
    shape = _inner(file, _inner(file, _inner(file, info, _TYPE), _TENSOR_TYPE), _SHAPE)
    if shape is None:
        return name, None
    dims = [dim for field, dim in fields(file, shape) if field == _DIM and isinstance(dim, range)]
    return name, [_axis(file, dim) for dim in dims]


def _axis(file: BufferedReader, dim: range) -> int | str | None:
    for field, found in fields(file, dim):
        if field == _DIM_VALUE and isinstance(found, int):
            return found if found < 1 << 63 else None  # negative, as it stands on the wire
        if field == _DIM_PARAM and isinstance(found, range):
            return _text(file, found) or None
    return None


def _inner(file: BufferedReader, outer: range | None, wanted: int) -> range | None:
    """Where the message that is this field lies."""
    if outer is None:
        return None
    found = (place for field, place in fields(file, outer) if field == wanted)
    return next((place for place in found if isinstance(place, range)), None)


def _text(file: BufferedReader, place: range | None) -> str:
    return "" if place is None else content(file, place).decode("utf-8", errors="replace")
