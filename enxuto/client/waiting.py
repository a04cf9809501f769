"""Waiting for a server: long requests where it holds them, pauses where it does not."""

from __future__ import annotations

import time
from collections.abc import Callable

from enxuto.client.resources import Job, Upload
from enxuto.errors import BadInput
from enxuto.search.plan import Progress

OnProgress = Callable[[Progress], None]

_QUIET_WAIT_S = 30.0
_WATCHED_WAIT_S = 1.0
"""Somebody looks at the progress."""


def until_ended(look: Callable[[float], Job], progress: OnProgress | None) -> Job:
    """Look again and again, each time giving the server a while to answer with news."""
    wait_s = _WATCHED_WAIT_S if progress else _QUIET_WAIT_S
    while True:
        started = time.monotonic()
        job = look(wait_s)
        if progress:
            progress(job.seen)
        if job.ended:
            return job
        _breathe(started)


def until_ready(sent: Upload, look: Callable[[float], Upload]) -> Upload:
    """Raises BadInput with the server's finding where the file was rejected."""
    while sent.state == "inspecting":
        started = time.monotonic()
        sent = look(_QUIET_WAIT_S)
        if sent.state == "inspecting":
            _breathe(started)
    if sent.state == "rejected" and sent.finding:
        raise BadInput(sent.finding.detail, code=sent.finding.code, hint=sent.finding.hint)
    return sent


def _breathe(started: float) -> None:
    """A server that does not hold requests is not asked more than twice a second."""
    time.sleep(max(0.0, 0.5 - (time.monotonic() - started)))
