"""Identifiers: a prefix that says what it is, and 26 characters that sort by the time they were made (a ULID)."""

from __future__ import annotations

import re
import secrets
import threading
import time
from typing import Literal

Prefix = Literal["mdl", "dst", "job", "upl"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_lock = threading.Lock()
_last = 0


def new_id(prefix: Prefix) -> str:
    """Such as ``job_01k9zq3w6m8x5v2n4c7b1d0f9g``: 48 bits of milliseconds, 80 random ones, in Crockford's base 32.

    Within one process each is greater than the one before, so that lists sorted by id are sorted by age.
    """
    global _last
    with _lock:
        fresh = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
        _last = max(fresh, _last + 1)
        number = _last
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))


def id_pattern(prefix: Prefix) -> str:
    """Regular expression that every id of this prefix matches."""
    return rf"^{prefix}_[{_ALPHABET}]{{26}}$"


def is_id(prefix: Prefix, text: str) -> bool:
    return re.fullmatch(id_pattern(prefix), text) is not None
