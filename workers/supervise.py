"""Keeps processes running: starts them, starts anew what died, and ends them all with itself.

The kernel ends the processes when the one that supervises them dies, even of a kill -9. Used from the main thread of a
process without other threads: the kernel's promise is tied to the thread that started a process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from enxuto.execution.kernel import process_control

_PR_SET_PDEATHSIG = 1
_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_WATCHED = _STOP | {signal.SIGCHLD}
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_STEADY_AFTER_S = 20.0
"""A process that lived this long starts anew at once when it dies."""

_log = structlog.get_logger(__name__)


class PartDied(Exception):
    """A part ended while the whole was being started."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with exit code {code} while it was started; what it said stands above.")


class ToldToStop(Exception):
    """Ctrl-C or SIGTERM."""


@dataclass
class Part:
    """A process to be kept running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stop_within_s: float = 10.0
    """After SIGTERM; then it is killed."""
    outlives: bool = False
    """Whether the other parts need it to the end."""
    stdin: bytes = b""
    pass_fds: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    restart_at: float = field(default=0.0, init=False)
    pause_s: float = field(default=_FIRST_PAUSE_S, init=False)

    def start(self) -> None:
        supervisor = os.getpid()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=sys.stderr,
            pass_fds=self.pass_fds,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends the parts in their order
            preexec_fn=lambda: _die_with(supervisor),
        )
        assert self.process.stdin is not None, "a pipe was asked for"  # noqa: S101
        self.process.stdin.write(self.stdin)
        self.process.stdin.close()

    def has_died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def plan_restart(self) -> None:
        now = time.monotonic()
        steady = now - self.started >= _STEADY_AFTER_S
        self.pause_s = _FIRST_PAUSE_S if steady else min(self.pause_s * 2, _LONGEST_PAUSE_S)
        self.restart_at = now + self.pause_s
        self.process = None

    def tell_to_stop(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def wait_for_end(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(self.stop_within_s)
        except subprocess.TimeoutExpired:
            _log.warning("part_killed", part=self.name, waited_s=self.stop_within_s)
            self.process.kill()
            self.process.wait()


class Supervisor:
    """Parts start in the order they are added, and stop together, but for those that outlive the others."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)

    def add(self, part: Part) -> None:
        part.start()
        self._parts.append(part)

    def wait_until(self, ready: Callable[[], bool], *, within_s: float, what: str) -> None:
        """Raises PartDied, ToldToStop or TimeoutError."""
        give_up = time.monotonic() + within_s
        while not ready():
            for part in self._parts:
                if part.has_died():
                    assert part.process is not None  # noqa: S101
                    raise PartDied(part.name, part.process.returncode)
            if time.monotonic() > give_up:
                raise TimeoutError(f"{what} took longer than {within_s:g} s.")
            self._wait(0.05)

    def keep_running(self) -> None:
        """Start anew what dies, until told to stop."""
        try:
            while True:
                self._tend()
                self._wait(self._pause_s())
        except ToldToStop:
            return

    def stop(self) -> None:
        for outliving in (False, True):
            parts = [part for part in self._parts if part.outlives == outliving]
            for part in parts:
                part.tell_to_stop()
            for part in parts:
                part.wait_for_end()

    def _tend(self) -> None:
        for part in self._parts:
            if part.has_died():
                assert part.process is not None  # noqa: S101
                _log.warning("part_died", part=part.name, code=part.process.returncode)
                part.plan_restart()
            if part.process is None and time.monotonic() >= part.restart_at:
                part.start()
                _log.info("part_started", part=part.name)

    def _pause_s(self) -> float:
        due = [part.restart_at - time.monotonic() for part in self._parts if part.process is None]
        return max(0.0, min([1.0, *due]))

    def _wait(self, longest_s: float) -> None:
        """For a signal; the death of a part is one."""
        received = signal.sigtimedwait(_WATCHED, longest_s)
        if received is not None and received.si_signo in _STOP:
            raise ToldToStop


def _die_with(supervisor: int) -> None:
    """In the new process, before it becomes the part."""
    process_control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
    if os.getppid() != supervisor:  # it died before the promise was made
        os.kill(os.getpid(), signal.SIGKILL)
