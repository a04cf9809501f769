"""Takes a job from its lease to its ending, whatever happens on the way."""

from __future__ import annotations

import errno
import threading

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from app.core import leases
from app.core.endings import Ending, finish
from app.core.leases import Lease
from app.core.parts import Parts
from enxuto.errors import BadInput, EnxutoError, Finding, Interrupted, OutOfCapacity
from enxuto.search.plan import Stopped
from workers.bench import Bench
from workers.kinds import KINDS
from workers.pulse import Pulse

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_log = structlog.get_logger(__name__)


def drive_job(parts: Parts, lease: Lease, stopping: threading.Event) -> None:
    """End the job, or give it back when told to stop; leave it alone when somebody else holds it.

    A database that does not answer is no ending either: the lease runs out, and the job is taken up again.
    """
    with Pulse(parts, lease) as pulse:
        try:
            ending = _ending(Bench(parts, lease, pulse, stopping))
            with parts.writing.begin() as session:
                finish(session, lease, ending)
        except Interrupted:
            with parts.writing.begin() as session:
                released = leases.release(session, lease, spent_s=pulse.spent_s)
            _log.info("job_released" if released else "job_taken_away")
        else:
            _log.info("job_ended", state=ending.state, code=ending.finding.code if ending.finding else None)


def _ending(bench: Bench) -> Ending:
    try:
        return _work(bench)
    except (Interrupted, OperationalError, InterfaceError):
        raise
    except Stopped as stopped:
        return _stopped(stopped)
    except EnxutoError as error:
        return Ending("failed", finding=error.finding)
    except OSError as error:
        return Ending("failed", finding=_finding_of(error))
    except Exception:  # noqa: BLE001 - whatever it was, the job ends and says so
        return Ending("failed", finding=_unexpected())


def _work(bench: Bench) -> Ending:
    if (work := KINDS.get(bench.lease.kind)) is None:
        raise BadInput(
            f"This worker does not know jobs of kind '{bench.lease.kind}'.",
            code="unknown_job_kind",
            hint="Run workers of the same version as the API.",
        )
    return work(bench)


def _stopped(stopped: Stopped) -> Ending:
    """Of plans that have nothing to show before their end."""
    if stopped.reason == "cancelled":
        return Ending("cancelled")
    error = OutOfCapacity(
        "The deadline came before the job had an answer.",
        code="deadline_reached",
        hint="Allow more time with deadline_s.",
    )
    return Ending("failed", finding=error.finding)


def _finding_of(error: OSError) -> Finding:
    """A full disk is not tried again by itself: every worker of the host would meet it, and it takes a person."""
    if error.errno not in _DISK_FULL:
        return _unexpected()
    _log.error("disk_full", exc_info=True)
    full = OutOfCapacity(
        "The disk of the service is full.",
        code="disk_full",
        hint="Free space on it, then submit the job again: nothing is wrong with the request.",
    )
    return full.finding


def _unexpected() -> Finding:
    """What users read says nothing of our insides; the log has it all."""
    _log.exception("job_failed_unexpectedly")
    return Finding(
        code="internal",
        detail="Something went wrong inside the service while it worked on this job.",
        hint="Submit the job again; if it fails again, report it with the job's id.",
        fault="internal",
    )
