"""Parses a large ONNX file piece by piece, so that its bytes and the message made of them are never both in memory.

A protocol buffer may be merged from parts: here each part is a run of whole fields, and the graph, which is one field
of the model and nearly all of the file, is entered and taken in parts itself.
"""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

from google.protobuf.message import DecodeError, Message
from onnx import ModelProto

_PIECE_BYTES = 1 << 20
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def parse_in_pieces(path: Path) -> ModelProto:
    """The same as parsing all bytes at once. Raises DecodeError."""
    model = ModelProto()
    graph_field = ModelProto.DESCRIPTOR.fields_by_name["graph"].number
    with path.open("rb") as file:
        _merge(file, path.stat().st_size, model, {graph_field: model.graph})
    return model


def _merge(file: BufferedReader, end: int, message: Message, entered: dict[int, Message]) -> None:
    """Merge the fields from here to ``end``; those that are entered are merged into their own message in parts."""
    pending = file.tell()
    while (start := file.tell()) < end:
        field, wire_type = divmod(_varint(file), 8)
        field_end = _field_end(file, wire_type)
        if field_end > end:
            raise DecodeError("a field is longer than what holds it")
        if field in entered and wire_type == _DELIMITED:
            body = file.tell()
            _take(file, pending, start, message)
            file.seek(body)
            _merge(file, field_end, entered[field], {})
            pending = field_end
        elif field_end - pending >= _PIECE_BYTES:
            _take(file, pending, field_end, message)
            pending = field_end
        file.seek(field_end)
    _take(file, pending, end, message)


def _take(file: BufferedReader, start: int, end: int, message: Message) -> None:
    if start < end:
        file.seek(start)
        message.MergeFromString(file.read(end - start))


def _field_end(file: BufferedReader, wire_type: int) -> int:
    if wire_type == _DELIMITED:
        length = _varint(file)
        return file.tell() + length
    if wire_type == _VARINT:
        _varint(file)
        return file.tell()
    if wire_type not in _FIXED_BYTES:
        raise DecodeError(f"no field of an ONNX model has the wire type {wire_type}")
    return file.tell() + _FIXED_BYTES[wire_type]


def _varint(file: BufferedReader) -> int:
    number = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise DecodeError("the file ends within a number")
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
    raise DecodeError("a number is longer than 64 bits")
