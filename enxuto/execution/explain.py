"""Turns what ended a step, in its process or of its process, into a finding that says what happened and what to do."""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Iterator

from enxuto.errors import EnxutoError, Finding, OutOfCapacity, StepCrashed
from enxuto.execution.limits import Limits
from enxuto.words import SPACE

KILLED = "step_killed"
"""Code of a step whose process somebody else ended."""
_LONGEST_DETAIL = 4_000
_LINES_QUOTED = 5
_NO_MEMORY = re.compile(
    r"bad_alloc|MemoryError|failed to allocate memory|cannot allocate memory|out of memory", re.IGNORECASE
)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r'File "(?:[^"]*/)?([^"/]+)", line (\d+)')
HOSTILE_OR_DEFECT = (
    "Either the file makes a runtime do what it should not, then treat it as hostile, "
    "or this is a defect: please report it with the model's inspection."
)
_SMALLER = "Use a smaller batch, fewer samples or a smaller model, or allow steps more memory."


def out_of_memory(limits: Limits) -> OutOfCapacity:
    return OutOfCapacity(
        f"The step needed more than the {limits.memory_bytes / 2**20:,.0f} MiB of memory that a step may have.",
        code="out_of_memory",
        hint=_SMALLER,
    )


def finding_of(error: BaseException) -> Finding:
    """Of what a step raised. Memory and disk that ran out are found behind whatever they were wrapped in."""
    if isinstance(error, OutOfCapacity):
        return error.finding
    for cause in _causes(error):
        if isinstance(cause, MemoryError) or (not isinstance(cause, EnxutoError) and _NO_MEMORY.search(str(cause))):
            return OutOfCapacity(
                f"The step ran out of memory: {plain(str(error) or type(error).__name__)}",
                code="out_of_memory",
                hint=_SMALLER,
            ).finding
        if isinstance(cause, OSError) and (full := shortage(cause)):
            return full.finding
    if isinstance(error, EnxutoError):
        return error.finding
    return StepCrashed(
        f"The step raised {type(error).__name__}: {plain(str(error))}",
        code="step_raised",
        hint="This is a defect of Enxuto or of a package it uses: please report it with the model's inspection.",
    ).finding


def death(return_code: int, words: str, limits: Limits) -> EnxutoError:
    """Of a process that ended without leaving a result or a finding."""
    quoted = _last_lines(words)
    if return_code != -signal.SIGKILL and _NO_MEMORY.search(words):
        return out_of_memory(limits)
    if return_code >= 0:
        return StepCrashed(
            f"The step's process ended with status {return_code} and without a result.{quoted}",
            code="step_left_too_little",
            hint=HOSTILE_OR_DEFECT,
        )
    name = signal.Signals(-return_code).name if -return_code in set(signal.Signals) else f"signal {-return_code}"
    match name:
        case "SIGXCPU":
            return OutOfCapacity(
                "The step used up its processor time.", code="step_timeout", hint="Allow steps more time."
            )
        case "SIGKILL":
            return OutOfCapacity(
                "The step's process was killed from outside, most likely because this machine ran out of memory.",
                code="step_killed",
                hint=_SMALLER,
            )
        case "SIGBUS":
            return OutOfCapacity(
                "The step's process was ended while it wrote to a file (SIGBUS), most likely because the disk is full.",
                code="disk_full",
                hint="Free space where Enxuto keeps its data, and try again.",
            )
        case "SIGSYS":
            return StepCrashed(
                f"The step's process called the kernel in a way that the sandbox forbids (SIGSYS).{quoted}",
                code="sandbox_violation",
                hint="A model does not do this by itself: treat the file as hostile.",
            )
    return StepCrashed(
        f"The step's process crashed with {name}.{quoted}",
        code="step_crashed",
        hint="A runtime crashed on this model; another technique or another version of the runtime may not.",
    )


def plain(text: str) -> str:
    """Untrusted text, as it may stand in a finding: printable and not without end."""
    kept = f"\n{SPACE}"  # the space between a number and its unit counts as no printable character
    printable = "".join(char if char.isprintable() or char in kept else "�" for char in _COLOR.sub("", text))
    return printable if len(printable) <= _LONGEST_DETAIL else f"{printable[:_LONGEST_DETAIL]}…"


def _last_lines(words: str) -> str:
    """What was printed last; where Python printed its stack, what was printed before, and where it was."""
    lines = [_FRAME.sub(r"\1:\2", plain(line.strip()))[:300] for line in words.splitlines() if line.strip()]
    fatal = next((at for at, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    quoted = lines[-_LINES_QUOTED:] if fatal is None else lines[max(0, fatal - 2) : fatal + _LINES_QUOTED]
    return f" It last said: {' | '.join(quoted)}" if quoted else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def disk_full() -> OutOfCapacity:
    return OutOfCapacity(
        "The disk is full: what the step found could not be written.",
        code="disk_full",
        hint="Free space where Enxuto keeps its data, and try again.",
    )


def shortage(error: OSError) -> OutOfCapacity | None:
    """What the machine ran out of, where that is what the error says."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return disk_full()
    if error.errno == errno.EFBIG:
        return OutOfCapacity(
            "The step wrote a file larger than it may.",
            code="scratch_full",
            hint="Allow steps more room, or give fewer samples or a smaller model.",
        )
    if error.errno == errno.ENOMEM:
        return OutOfCapacity("The step ran out of memory.", code="out_of_memory", hint=_SMALLER)
    return None
