"""The seccomp filter: system calls that a step has no use for do not reach the kernel.

A program in classic BPF over ``struct seccomp_data`` (number, processor, instruction pointer, six arguments); see
https://docs.kernel.org/userspace-api/seccomp_filter.html.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from enxuto.execution.kernel import Processor, system_call
from enxuto.execution.system_calls import NEWEST_KNOWN, NOT_IMPLEMENTED, REFUSED, WATCHED, Numbers

_AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP_IF_EQUAL, _JUMP_IF_GREATER, _JUMP_IF_ANY_BIT = 0x15, 0x25, 0x45
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL_PROCESS, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_CLONE_THREAD = 0x00010000
_SET_PARENT_DEATH_SIGNAL = 1
_PUSH_TERMINAL_INPUT, _CONSOLE_CONTROL = 0x5412, 0x541C
_ACCESS_MODE_AND_TRUNCATE, _READ_ONLY_BUT_TRUNCATE = 0o1003, 0o1000
_SET_MODE_FILTER = 1
_ALL_THREADS_AND_NO_SPECULATION_BRAKE = 0b101
"""Kernels before 5.16 slow a filtered process down (SSBD) unless told not to: it would be measured as the model's."""

Instruction = tuple[int, int, int, int]
"""Operation, steps to skip when true, when false, operand."""


LOAD_NUMBER: Instruction = (_LOAD, 0, 0, _NUMBER_AT)
ALLOW: Instruction = (_RETURN, 0, 0, _ALLOW)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def install(processor: Processor, instructions: list[Instruction]) -> None:
    """Filter every thread of this process from here on. Cannot be undone. Needs ``no_new_privs``; raises OSError."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    number = _number(WATCHED["seccomp"], processor)
    if number is None:
        raise OSError(errno.ENOSYS, "this processor has no seccomp")
    system_call(number, _SET_MODE_FILTER, _ALL_THREADS_AND_NO_SPECULATION_BRAKE, _Program(len(instructions), code))


def program(processor: Processor, pid: int) -> list[Instruction]:
    """The filter for one process: of another processor's table nothing, of this one's what is not refused."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, 1, 0, _AUDIT_ARCHITECTURE[processor]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        LOAD_NUMBER,
        (_JUMP_IF_GREATER, 0, 1, NEWEST_KNOWN),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        *answer(REFUSED, processor, errno.EPERM),
        *answer(NOT_IMPLEMENTED, processor, errno.ENOSYS),
        *_watch("clone", processor, 0, [(_JUMP_IF_ANY_BIT, _CLONE_THREAD)], found=_ALLOW),
        *_watch("kill", processor, 0, _any_of(pid), found=_ALLOW),
        *_watch("tgkill", processor, 0, _any_of(pid), found=_ALLOW),
        *_watch("prlimit64", processor, 0, _any_of(0, pid), found=_ALLOW),
        *_watch("sched_setaffinity", processor, 0, _any_of(0, pid), found=_ALLOW),
        *_watch("prctl", processor, 0, _any_of(_SET_PARENT_DEATH_SIGNAL), found=_ERROR | errno.EPERM),
        *_watch("ioctl", processor, 1, _any_of(_PUSH_TERMINAL_INPUT, _CONSOLE_CONTROL), found=_ERROR | errno.EPERM),
        *_watch("open", processor, 1, _any_of(_READ_ONLY_BUT_TRUNCATE), found=_ERROR | errno.EPERM, mask=True),
        *_watch("openat", processor, 2, _any_of(_READ_ONLY_BUT_TRUNCATE), found=_ERROR | errno.EPERM, mask=True),
        ALLOW,
    ]


def _number(numbers: Numbers, processor: Processor) -> int | None:
    return numbers[0] if processor == "x86_64" else numbers[1]


def answer(calls: dict[str, Numbers], processor: Processor, error: int) -> list[Instruction]:
    """Answer these calls with an error; expects the call's number to be loaded."""
    known = [number for numbers in calls.values() if (number := _number(numbers, processor)) is not None]
    return [
        instruction
        for number in known
        for instruction in ((_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | error))
    ]


def _any_of(*values: int) -> list[tuple[int, int]]:
    return [(_JUMP_IF_EQUAL, value) for value in values]


def _watch(
    call: str, processor: Processor, argument: int, tests: list[tuple[int, int]], *, found: int, mask: bool = False
) -> list[Instruction]:
    """Return ``found`` where any test holds of the call's argument (lower half), the opposite where none does."""
    number = _number(WATCHED[call], processor)
    if number is None:
        return []
    otherwise = _ERROR | errno.EPERM if found == _ALLOW else _ALLOW
    look: list[Instruction] = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)]
    if mask:
        look.append((_AND, 0, 0, _ACCESS_MODE_AND_TRUNCATE))
    jumps = [(test, len(tests) - position, 0, value) for position, (test, value) in enumerate(tests)]
    body = [*look, *jumps, (_RETURN, 0, 0, otherwise), (_RETURN, 0, 0, found)]
    return [(_JUMP_IF_EQUAL, 0, len(body), number), *body]
