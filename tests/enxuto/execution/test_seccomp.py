"""The filter's verdicts on either processor, by running its program as the kernel would."""

from __future__ import annotations

import errno

import pytest

from enxuto.execution.kernel import Processor
from enxuto.execution.seccomp import program
from enxuto.execution.system_calls import NOT_IMPLEMENTED, REFUSED, WATCHED, Numbers

ARCHITECTURE: dict[Processor, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
PID = 4242
PROCESSORS = pytest.mark.parametrize("processor", ["x86_64", "aarch64"])


def verdict(processor: Processor, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Interpret the program over one call."""
    words = {0: number, 4: ARCHITECTURE[processor] if architecture is None else architecture}
    words |= {16 + 8 * position: argument & 0xFFFFFFFF for position, argument in enumerate(arguments)}
    instructions, at, accumulator = program(processor, PID), 0, 0
    while True:
        operation, if_true, if_false, operand = instructions[at]
        at += 1
        match operation:
            case 0x20:
                accumulator = words[operand]
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x25:
                at += if_true if accumulator > operand else if_false
            case 0x45:
                at += if_true if accumulator & operand else if_false
            case 0x06:
                return operand
            case _:
                pytest.fail(f"unknown operation {operation:#x}")


def number_of(numbers: Numbers, processor: Processor) -> int | None:
    return numbers[0] if processor == "x86_64" else numbers[1]


@PROCESSORS
def test_every_call_on_the_list_is_refused_and_no_more_than_once(processor: Processor) -> None:
    refused = [number for numbers in REFUSED.values() if (number := number_of(numbers, processor)) is not None]
    missing = [number for numbers in NOT_IMPLEMENTED.values() if (number := number_of(numbers, processor)) is not None]
    assert {verdict(processor, number) for number in refused} == {ERROR | errno.EPERM}
    assert {verdict(processor, number) for number in missing} == {ERROR | errno.ENOSYS}
    assert len(set(refused + missing)) == len(refused + missing)


@PROCESSORS
@pytest.mark.parametrize(
    ("call", "arguments", "allowed"),
    [
        ("clone", [0x00010000 | 0x100], True),
        ("clone", [17], False),
        ("kill", [PID, 9], True),
        ("kill", [PID + 1, 9], False),
        ("kill", [-1, 9], False),
        ("kill", [0, 9], False),
        ("tgkill", [PID, PID, 6], True),
        ("tgkill", [1, 1, 6], False),
        ("prlimit64", [0, 7], True),
        ("prlimit64", [PID, 7], True),
        ("prlimit64", [PID - 1, 7], False),
        ("sched_setaffinity", [0], True),
        ("sched_setaffinity", [1], False),
        ("prctl", [1, 0], False),
        ("prctl", [15, 0], True),
        ("ioctl", [0, 0x5401], True),
        ("ioctl", [0, 0x5412], False),
        ("openat", [-100, 0, 0o1000], False),
        ("openat", [-100, 0, 0o2001000], False),
        ("openat", [-100, 0, 0o1001], True),
        ("openat", [-100, 0, 0o2000000], True),
        ("seccomp", [1, 0, 0], True),
    ],
)
def test_a_watched_call_depends_on_its_arguments(
    processor: Processor, call: str, arguments: list[int], allowed: bool
) -> None:
    number = number_of(WATCHED[call], processor)
    assert number is not None
    assert verdict(processor, number, *arguments) == (ALLOW if allowed else ERROR | errno.EPERM)


@PROCESSORS
def test_what_every_program_needs_is_allowed(processor: Processor) -> None:
    needed: dict[str, Numbers] = {
        "read": (0, 63), "write": (1, 64), "mmap": (9, 222), "futex": (202, 98), "exit_group": (231, 94),
        "statx": (332, 291), "rseq": (334, 293), "mseal": (462, 462),
    }  # fmt: skip
    for call, numbers in needed.items():
        number = number_of(numbers, processor)
        assert number is not None
        assert verdict(processor, number) == ALLOW, call


@PROCESSORS
@pytest.mark.parametrize("number", [463, 999, 0x40000000, 0x40000000 + 41, 0xFFFFFFFF])
def test_newer_and_foreign_numbers_are_not_implemented(processor: Processor, number: int) -> None:
    assert verdict(processor, number) == ERROR | errno.ENOSYS


@PROCESSORS
def test_the_table_of_another_processor_kills(processor: Processor) -> None:
    assert verdict(processor, 1, architecture=0x40000003) == KILL
