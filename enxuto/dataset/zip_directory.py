"""How large a zip file's list of members is, read from its last record before anything builds that list."""

from __future__ import annotations

import struct
from pathlib import Path

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT = 1 << 16


def zip_directory_bytes(path: Path) -> int | None:
    """None where the file does not end as a zip does."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size - _END.size - _LONGEST_COMMENT)
        file.seek(start)
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            return None
        directory_bytes: int = _END.unpack_from(tail, at)[5]
        locator_at = start + at - _END64_LOCATOR.size
        if locator_at < 0:
            return directory_bytes
        file.seek(locator_at)
        signature, _, end64_at, _ = _END64_LOCATOR.unpack(file.read(_END64_LOCATOR.size))
        if signature != b"PK\x06\x07" or end64_at + _END64.size > size:
            return directory_bytes
        file.seek(end64_at)
        directory64_bytes: int = _END64.unpack(file.read(_END64.size))[8]
        return max(directory_bytes, directory64_bytes)
