"""What ended a step becomes a finding that says what happened, whatever it was wrapped in."""

from __future__ import annotations

import errno
import signal

import pytest

from enxuto.errors import BadInput, EnxutoError, OutOfCapacity
from enxuto.execution.explain import death, finding_of, plain
from enxuto.execution.limits import Limits

LIMITS = Limits(memory_bytes=2**30)


def wrapped(inner: Exception) -> BadInput:
    error = BadInput("The model does not run.", code="model_fails_to_run")
    error.__cause__ = inner
    return error


@pytest.mark.parametrize(
    ("error", "code", "fault"),
    [
        (BadInput("Not a model.", code="not_a_model"), "not_a_model", "user"),
        (MemoryError(), "out_of_memory", "capacity"),
        (wrapped(RuntimeError("Failed to allocate memory for 34359738368 bytes")), "out_of_memory", "capacity"),
        (OutOfCapacity("No room for the model.", code="model_too_large"), "model_too_large", "capacity"),
        (wrapped(RuntimeError("std::bad_alloc")), "out_of_memory", "capacity"),
        (wrapped(RuntimeError("no such operator")), "model_fails_to_run", "user"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", "capacity"),
        (wrapped(OSError(errno.EDQUOT, "Disk quota exceeded")), "disk_full", "capacity"),
        (OSError(errno.EFBIG, "File too large"), "scratch_full", "capacity"),
        (ValueError("odd"), "step_raised", "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_an_error_becomes_a_finding(error: Exception, code: str, fault: str) -> None:
    finding = finding_of(error)
    assert (finding.code, finding.fault) == (code, fault)


@pytest.mark.parametrize(
    ("return_code", "words", "code"),
    [
        (-signal.SIGSEGV, "", "step_crashed"),
        (-signal.SIGABRT, "", "step_crashed"),
        (-signal.SIGABRT, "terminate called after throwing an instance of 'std::bad_alloc'", "out_of_memory"),
        (-signal.SIGKILL, "std::bad_alloc", "step_killed"),
        (-signal.SIGXCPU, "", "step_timeout"),
        (-signal.SIGBUS, "", "disk_full"),
        (-signal.SIGSYS, "", "sandbox_violation"),
        (-signal.SIGRTMIN - 1, "", "step_crashed"),
        (1, "MemoryError", "out_of_memory"),
        (0, "", "step_left_too_little"),
    ],
)
def test_a_death_becomes_a_finding(return_code: int, words: str, code: str) -> None:
    error: EnxutoError = death(return_code, words, LIMITS)
    assert error.code == code


def test_a_crash_names_its_signal_and_quotes_what_was_said_last() -> None:
    words = """
[W] something was odd
terminate called
Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "/srv/enxuto/lib/onnxruntime/capi/session.py", line 273 in run
  File "/srv/enxuto/execution/child.py", line 30 in _perform
Extension modules: numpy (total: 1)
"""
    detail = death(-signal.SIGSEGV, words, LIMITS).detail
    assert "SIGSEGV" in detail
    assert "terminate called" in detail
    assert "session.py:273 in run" in detail
    assert "/srv" not in detail


def test_what_a_child_says_cannot_play_with_terminals_or_fill_a_database() -> None:
    assert plain("\x1b[31mred\x1b[0m \x07bell") == "red �bell"
    assert plain("0.89\u00a0%") == "0.89\u00a0%"
    assert len(plain("x" * 100_000)) < 5_000
