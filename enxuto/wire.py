"""Reads messages of protocol buffers field by field, without the packages that know what they hold.

Only lengths are followed (protobuf.dev/programming-guides/encoding), so that weights are skipped wherever they are. Who
reads so little of an ONNX file neither needs those packages nor has their memory counted as that of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def fields(file: BufferedReader, message: range) -> Iterator[tuple[int, int | range]]:
    """Number of each field with what it holds: a whole number, or where its bytes lie.

    Fields of a fixed width are passed over. The file may be read elsewhere in between. ValueError: it is no message.
    """
    at = message.start
    while at < message.stop:
        file.seek(at)
        field, wire_type = divmod(_varint(file), 8)
        if wire_type == _VARINT:
            value = _varint(file)
            at = file.tell()
            yield field, value
        elif wire_type == _DELIMITED:
            length = _varint(file)
            start, at = file.tell(), file.tell() + length
            if at > message.stop:
                raise ValueError("a field reaches beyond its message")
            yield field, range(start, at)
        elif wire_type in _FIXED_BYTES:
            at = file.tell() + _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"no field of an ONNX model has the wire type {wire_type}")


def content(file: BufferedReader, place: range) -> bytes:
    file.seek(place.start)
    return file.read(len(place))


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
