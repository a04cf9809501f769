"""The sweep finds what was lost and clears what nobody needs, however many of them run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.core import leases
from app.core.database import utc_now
from app.core.endings import Ending, finish
from app.core.parts import Parts, open_parts
from app.core.records import BlobUse, JobRecord, StepRecord
from enxuto.errors import Finding
from enxuto.steps import Failed
from tests.support.database import fresh_database
from tests.support.jobs import event_kinds, read_job, submit
from workers.sweep import Sweep

LEASE_S = 0.3


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Parts]:
    with fresh_database(tmp_path, lease_s=LEASE_S) as settings:
        parts = open_parts(settings.model_copy(update={"blob_grace_s": 0.2}))  # less than is safe under load
        yield parts
        parts.engine.dispose()


def claim(parts: Parts) -> leases.Lease:
    with parts.writing.begin() as session:
        lease = leases.claim(session, worker="here:1", lane="work", targets=["any"])
    assert lease
    return lease


def test_a_job_whose_heart_stands_still_goes_back_into_the_queue(hasty: Parts) -> None:
    job = submit(hasty)
    claim(hasty)
    sweep = Sweep(hasty)
    sweep.expire_dead()
    assert read_job(hasty, job).state == "running"
    time.sleep(LEASE_S)
    sweep.expire_dead()
    assert read_job(hasty, job).state == "queued"


def test_a_job_whose_heart_beats_is_left_alone(hasty: Parts) -> None:
    job = submit(hasty)
    lease = claim(hasty)
    sweep = Sweep(hasty)
    for _ in range(4):
        sweep.expire_dead()
        time.sleep(LEASE_S / 2)
        with hasty.writing.begin() as session:
            leases.renew(session, lease, spent_s=1.0)
    sweep.expire_dead()
    assert read_job(hasty, job).state == "running"


def test_a_fresh_sweep_trusts_only_what_it_saw_itself(hasty: Parts) -> None:
    job = submit(hasty)
    claim(hasty)
    time.sleep(LEASE_S)
    Sweep(hasty).expire_dead()
    assert read_job(hasty, job).state == "running"


def test_two_sweeps_at_once_give_a_job_back_once(hasty: Parts) -> None:
    job = submit(hasty)
    claim(hasty)
    sweeps = [Sweep(hasty) for _ in range(3)]
    for sweep in sweeps:
        sweep.expire_dead()
    time.sleep(LEASE_S)
    threads = [threading.Thread(target=sweep.expire_dead) for sweep in sweeps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert event_kinds(hasty, job) == ["queued", "running", "lost"]


def test_bytes_that_nobody_uses_are_deleted_after_their_grace(hasty: Parts) -> None:
    used, unused = hasty.blobs.add_bytes(b"used"), hasty.blobs.add_bytes(b"unused")
    with hasty.writing.begin() as session:
        session.add(BlobUse(owner="mdl_x", sha256=used))
    Sweep(hasty).clean()
    assert hasty.blobs.path(unused)
    time.sleep(0.25)
    fresh = hasty.blobs.add_bytes(b"fresh")
    Sweep(hasty).clean()
    assert hasty.blobs.path(used)
    assert hasty.blobs.path(fresh)
    with pytest.raises(KeyError):
        hasty.blobs.path(unused)


def test_steps_are_forgotten_some_time_after_their_job_ended(hasty: Parts) -> None:
    jobs = [submit(hasty) for _ in range(3)]
    for _ in jobs:
        lease = claim(hasty)
        outcome = Failed(finding=Finding(code="x", detail="y"), elapsed_s=0.1)
        with hasty.writing.begin() as session:
            leases.record_step(session, lease, key="k", kind="apply_recipe", outcome=outcome, blobs=[])
            if lease.job != jobs[2]:
                finish(session, lease, Ending("succeeded"))
    with hasty.writing.begin() as session:
        session.get_one(JobRecord, jobs[0]).finished_at = utc_now() - timedelta(days=2)
    Sweep(hasty).clean()
    with hasty.reading() as session:
        left = [job for job in jobs if session.get(StepRecord, (job, "k"))]
    assert left == jobs[1:]


def test_step_folders_of_killed_workers_are_removed(hasty: Parts) -> None:
    abandoned = hasty.settings.data_dir / "scratch" / "step-abandoned"
    abandoned.mkdir(parents=True)
    (abandoned / "half.onnx").write_bytes(b"x")
    long_ago = time.time() - 3600
    os.utime(abandoned, (long_ago, long_ago))
    Sweep(hasty).clean()
    assert not abandoned.exists()
