"""A held job shows that it is alive, and hears that it shall end."""

from __future__ import annotations

from app.core import jobs, leases
from app.core.leases import Lease
from app.core.parts import Parts
from app.core.records import JobRecord
from enxuto.search.plan import Progress
from tests.support.jobs import read_job, submit
from tests.support.processes import wait_for
from workers.pulse import Pulse


def claim(parts: Parts) -> Lease:
    submit(parts)
    with parts.writing.begin() as session:
        lease = leases.claim(session, worker="here:1", lane="work", targets=["any"])
    assert lease
    return lease


def test_a_heartbeat_moves_and_progress_is_written_down(parts: Parts) -> None:
    lease = claim(parts)
    before = read_job(parts, lease.job).heartbeat
    with Pulse(parts, lease) as pulse:
        pulse.show(Progress("measure", "timing", 0.4))
        wait_for(lambda: read_job(parts, lease.job).phase == "measure")
        record = read_job(parts, lease.job)
        assert record.heartbeat > before
        assert 0 < record.spent_s <= pulse.spent_s


def test_a_cancel_is_heard(parts: Parts) -> None:
    lease = claim(parts)
    with Pulse(parts, lease) as pulse:
        assert not pulse.cancelled
        with parts.writing.begin() as session:
            jobs.request_cancel(session, session.get_one(JobRecord, lease.job))
        wait_for(lambda: pulse.cancelled)
        assert not pulse.lost


def test_a_job_that_was_to_be_cancelled_before_it_was_claimed_is_cancelled_from_the_start(parts: Parts) -> None:
    lease = claim(parts)
    with parts.writing.begin() as session:
        jobs.request_cancel(session, session.get_one(JobRecord, lease.job))
    with Pulse(parts, lease) as pulse:
        assert pulse.cancelled


def test_a_lost_lease_is_noticed(parts: Parts) -> None:
    lease = claim(parts)
    with Pulse(parts, lease) as pulse:
        with parts.writing.begin() as session:
            (seen,) = leases.pulses(session)
            leases.expire(session, seen, max_deaths=3)
        wait_for(lambda: pulse.lost)


def test_a_second_attempt_counts_from_what_the_first_one_spent(parts: Parts) -> None:
    lease = claim(parts)
    with parts.writing.begin() as session:
        leases.release(session, lease, spent_s=100.0)
        again = leases.claim(session, worker="here:1", lane="work", targets=["any"])
    assert again
    with Pulse(parts, again) as pulse:
        assert 100.0 <= pulse.spent_s < 130.0
