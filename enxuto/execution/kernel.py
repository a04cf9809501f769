"""Calls to the kernel that Python has no name for, on the two processors that the sandbox knows."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Literal

Processor = Literal["x86_64", "aarch64"]
Argument = int | ctypes.Array[ctypes.c_char] | ctypes.Structure | None

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.restype = ctypes.c_int


def processor() -> Processor | None:
    """None where the numbers of system calls are not known here, 32-bit interpreters among them."""
    machine = os.uname().machine
    if sys.maxsize < 2**32:
        return None
    if machine == "x86_64":
        return "x86_64"
    return "aarch64" if machine in {"aarch64", "arm64"} else None


def system_call(number: int, *arguments: Argument) -> int:
    """Raises OSError with the kernel's reason."""
    answer: int = _libc.syscall(ctypes.c_long(number), *map(_as_word, arguments))
    return _checked(answer, f"system call {number}")


def process_control(option: int, value: int) -> int:
    """``prctl``; raises OSError with the kernel's reason."""
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    answer: int = _libc.prctl(ctypes.c_int(option), *words)
    return _checked(answer, f"prctl {option}")


def _as_word(argument: Argument) -> object:
    """As wide as a register: ctypes would pass an int as 32 bits."""
    if argument is None or isinstance(argument, int):
        return ctypes.c_ulong(argument or 0)
    return ctypes.byref(argument)


def _checked(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer
