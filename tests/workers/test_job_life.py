"""A job moves along the table of transitions, and whoever comes second changes nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from app.core import jobs, leases
from app.core.database import utc_now
from app.core.endings import Ending, Inspected, JobFile, Output, finish
from app.core.leases import Lease, LeaseLost
from app.core.parts import Parts
from app.core.peaks import keep_peaks, known_peaks
from app.core.records import BlobUse, JobFileRecord, JobRecord, ModelRecord
from enxuto.errors import Finding
from enxuto.search.plan import Progress
from enxuto.steps import Failed
from tests.support import reports
from tests.support.jobs import add_model, event_kinds, read_job, submit
from tests.support.reports import inspection

FINDING = Finding(code="not_a_model", detail="These bytes are no ONNX model.", hint="Upload an ONNX file.")
PEAKS = reports.profile_report().peaks
CRASH = Failed(finding=FINDING, elapsed_s=0.1)


def claim(parts: Parts, *, lane: jobs.Lane = "work", targets: tuple[str, ...] = ("any",)) -> Lease | None:
    with parts.writing.begin() as session:
        return leases.claim(session, worker="here:1", lane=lane, targets=targets)


def claimed(parts: Parts) -> Lease:
    lease = claim(parts)
    assert lease is not None
    return lease


def end(parts: Parts, lease: Lease, ending: Ending) -> None:
    with parts.writing.begin() as session:
        finish(session, lease, ending)


def cancel(parts: Parts, job: str) -> str:
    with parts.writing.begin() as session:
        record = session.get_one(JobRecord, job)
        jobs.request_cancel(session, record)
        return record.state


def release(parts: Parts, lease: Lease, spent_s: float = 0.0) -> bool:
    with parts.writing.begin() as session:
        return leases.release(session, lease, spent_s=spent_s)


def expire(parts: Parts, max_deaths: int = 3) -> list[jobs.State | None]:
    with parts.writing.begin() as session:
        return [leases.expire(session, pulse, max_deaths=max_deaths) for pulse in leases.pulses(session)]


def record_step(parts: Parts, lease: Lease, key: str = "k") -> None:
    with parts.writing.begin() as session:
        leases.record_step(session, lease, key=key, kind="apply_recipe", outcome=CRASH, blobs=["b" * 64])


def uses(parts: Parts, owner: str) -> set[str]:
    with parts.reading() as session:
        return set(session.scalars(select(BlobUse.sha256).where(BlobUse.owner == owner)))


def test_nothing_follows_an_end_and_everything_else_leads_to_one() -> None:
    assert {"succeeded", "failed", "cancelled"} == jobs.TERMINAL
    reached = {state for following in jobs.TRANSITIONS.values() for state in following}
    assert reached == set(jobs.TRANSITIONS)


def test_a_submitted_job_waits_with_its_first_event(parts: Parts) -> None:
    job = submit(parts)
    assert read_job(parts, job).state == "queued"
    assert event_kinds(parts, job) == ["queued"]


def test_a_claimed_job_runs_under_a_new_fence(parts: Parts) -> None:
    job = submit(parts)
    lease = claimed(parts)
    record = read_job(parts, job)
    assert (record.state, record.worker, record.fence, record.attempt) == ("running", "here:1", 1, 1)
    assert (lease.job, lease.fence) == (job, 1)
    assert record.started_at is not None
    assert event_kinds(parts, job) == ["queued", "running"]


def test_a_job_is_claimed_once(parts: Parts) -> None:
    submit(parts)
    assert claim(parts) is not None
    assert claim(parts) is None


def test_workers_that_claim_at_the_same_moment_get_different_jobs(parts: Parts) -> None:
    waiting = {submit(parts) for _ in range(12)}
    taken: list[str] = []

    def worker() -> None:
        while (lease := claim(parts)) is not None:
            taken.append(lease.job)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(waiting)
    assert set(taken) == waiting


def test_lane_and_target_choose_who_may_claim(parts: Parts) -> None:
    inspecting = submit(parts, kind="inspect", lane="inspect")
    elsewhere = submit(parts, target="epyc")
    assert claim(parts) is None
    found = [claim(parts, lane="inspect"), claim(parts, targets=("any", "epyc"))]
    assert [lease and lease.job for lease in found] == [inspecting, elsewhere]


def test_the_oldest_job_goes_first_and_urgent_ones_before_it(parts: Parts) -> None:
    first, second = submit(parts), submit(parts)
    urgent = submit(parts, priority=10)
    assert [claimed(parts).job for _ in range(3)] == [urgent, first, second]


def test_tenants_take_turns(parts: Parts) -> None:
    busy = [submit(parts, tenant="busy") for _ in range(3)]
    modest = submit(parts, tenant="modest")
    order = []
    for _ in range(4):
        lease = claimed(parts)
        order.append(lease.job)
        end(parts, lease, Ending("succeeded"))
    assert order == [busy[0], modest, busy[1], busy[2]]


def test_a_tenant_that_runs_nothing_goes_before_one_that_does(parts: Parts) -> None:
    submit(parts, tenant="busy"), submit(parts, tenant="busy")
    claimed(parts)
    modest = submit(parts, tenant="modest")
    assert claimed(parts).job == modest


def test_a_queued_job_is_cancelled_at_once(parts: Parts) -> None:
    job = submit(parts)
    assert cancel(parts, job) == "cancelled"
    assert event_kinds(parts, job) == ["queued", "cancelled"]
    assert read_job(parts, job).finished_at is not None
    assert claim(parts) is None


def test_a_running_job_is_asked_to_end(parts: Parts) -> None:
    job = submit(parts)
    lease = claimed(parts)
    with parts.reading() as session:
        assert not leases.cancel_requested(session, lease)
    assert cancel(parts, job) == "cancelling"
    with parts.reading() as session:
        assert leases.cancel_requested(session, lease)
    end(parts, lease, Ending("cancelled", result={"best": 1}))
    assert read_job(parts, job).result == {"best": 1}


def test_a_cancel_that_comes_twice_or_too_late_changes_nothing(parts: Parts) -> None:
    job = submit(parts)
    lease = claimed(parts)
    assert [cancel(parts, job), cancel(parts, job)] == ["cancelling", "cancelling"]
    end(parts, lease, Ending("succeeded"))
    assert cancel(parts, job) == "succeeded"
    assert event_kinds(parts, job) == ["queued", "running", "cancelling", "succeeded"]


def test_a_job_whose_worker_died_while_it_was_cancelled_is_taken_up_to_be_ended(parts: Parts) -> None:
    job = submit(parts)
    claimed(parts)
    cancel(parts, job)
    assert expire(parts) == ["queued"]
    lease = claimed(parts)
    assert read_job(parts, job).state == "cancelling"
    with parts.reading() as session:
        assert leases.cancel_requested(session, lease)


def test_a_released_job_is_taken_up_with_what_it_spent(parts: Parts) -> None:
    job = submit(parts)
    assert release(parts, claimed(parts), spent_s=12.5)
    record = read_job(parts, job)
    assert (record.state, record.worker) == ("queued", None)
    assert claimed(parts).spent_s == 12.5
    assert event_kinds(parts, job) == ["queued", "running", "released", "running"]


def test_releases_are_no_deaths(parts: Parts) -> None:
    job = submit(parts)
    for _ in range(5):
        release(parts, claimed(parts))
    assert read_job(parts, job).state == "queued"


def test_whoever_lost_the_lease_writes_nothing(parts: Parts) -> None:
    job = submit(parts)
    lost = claimed(parts)
    expire(parts)
    holder = claimed(parts)
    with pytest.raises(LeaseLost):
        end(parts, lost, Ending("succeeded", result={"by": "the dead"}))
    with pytest.raises(LeaseLost):
        record_step(parts, lost)
    with pytest.raises(LeaseLost), parts.writing.begin() as session:
        leases.renew(session, lost, spent_s=1.0)
    assert not release(parts, lost)
    end(parts, holder, Ending("succeeded", result={"by": "the living"}))
    assert read_job(parts, job).result == {"by": "the living"}
    assert [kind for kind in event_kinds(parts, job) if kind in jobs.TERMINAL] == ["succeeded"]
    assert uses(parts, job) == set()


def test_two_that_hold_the_same_lease_end_the_job_once(parts: Parts) -> None:
    job = submit(parts)
    lease = claimed(parts)
    refused: list[LeaseLost] = []

    def worker() -> None:
        try:
            end(parts, lease, Ending("succeeded"))
        except LeaseLost as error:
            refused.append(error)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert event_kinds(parts, job) == ["queued", "running", "succeeded"]


def test_a_heartbeat_shows_progress_and_saves_a_job_from_the_sweep(parts: Parts) -> None:
    job = submit(parts)
    lease = claimed(parts)
    with parts.reading() as session:
        (seen,) = leases.pulses(session)
    with parts.writing.begin() as session:
        leases.renew(session, lease, spent_s=3.0, progress=Progress("measure", "timing", 0.5))
    with parts.writing.begin() as session:
        assert leases.expire(session, seen, max_deaths=1) is None
    record = read_job(parts, job)
    assert (record.state, record.phase, record.message, record.fraction) == ("running", "measure", "timing", 0.5)
    assert record.spent_s == 3.0


def test_progress_does_not_go_back_when_a_job_is_taken_up_again(parts: Parts) -> None:
    job = submit(parts)
    for fraction, shown in ((0.6, 0.6), (0.1, 0.6), (0.7, 0.7)):
        lease = claimed(parts)
        with parts.writing.begin() as session:
            leases.renew(session, lease, spent_s=1.0, progress=Progress("measure", "timing", fraction))
        assert read_job(parts, job).fraction == shown
        release(parts, lease)


def test_a_job_that_kills_its_workers_fails(parts: Parts) -> None:
    job = submit(parts)
    for expected in ("queued", "queued", "failed"):
        claimed(parts)
        assert expire(parts) == [expected]
    record = read_job(parts, job)
    assert record.error is not None
    assert (record.error["code"], record.error["class"]) == ("worker_lost", "internal")
    assert event_kinds(parts, job).count("failed") == 1


def test_deaths_with_a_finished_step_in_between_do_not_add_up(parts: Parts) -> None:
    submit(parts)
    for number in range(5):
        record_step(parts, claimed(parts), key=str(number))
        assert expire(parts, max_deaths=2) == ["queued"]


def test_a_step_is_kept_with_its_blobs_until_the_job_ends(parts: Parts) -> None:
    job = submit(parts)
    lease = claimed(parts)
    record_step(parts, lease)
    record_step(parts, lease)
    assert uses(parts, job) == {"b" * 64}
    files = [JobFile("calls.npz", "raw", "e" * 64, 9), JobFile("settings.json", "delivered", "f" * 64, 3)]
    end(parts, lease, Ending("succeeded", report="c" * 64, report_html="d" * 64, files=files))
    assert uses(parts, job) == {"c" * 64, "d" * 64, "e" * 64, "f" * 64}
    with parts.reading() as session:
        kept = session.scalars(select(JobFileRecord).where(JobFileRecord.job == job).order_by(JobFileRecord.name)).all()
    assert [(file.name, file.role, file.sha256, file.size_bytes) for file in kept] == [
        ("calls.npz", "raw", "e" * 64, 9),
        ("settings.json", "delivered", "f" * 64, 3),
    ]


def test_bytes_that_two_names_stand_for_are_used_once(parts: Parts) -> None:
    job = submit(parts)
    files = [JobFile("a.npz", "raw", "e" * 64, 9), JobFile("b.npz", "raw", "e" * 64, 9)]
    end(parts, claimed(parts), Ending("succeeded", files=files))
    assert uses(parts, job) == {"e" * 64}


def test_whoever_lost_the_lease_leaves_no_files_and_no_peaks(parts: Parts) -> None:
    job = submit(parts)
    lost = claimed(parts)
    expire(parts)
    file = JobFile("calls.npz", "raw", "e" * 64, 9)
    with pytest.raises(LeaseLost):
        end(parts, lost, Ending("succeeded", files=[file], peaks={"m" * 64: PEAKS}))
    with parts.reading() as session:
        assert session.get(JobFileRecord, (job, "calls.npz")) is None
        assert known_peaks(session, "m" * 64, PEAKS.threads) is None


def test_peaks_are_kept_for_their_machine_and_threads(parts: Parts) -> None:
    peaks = PEAKS
    submit(parts)
    end(parts, claimed(parts), Ending("succeeded", peaks={"m" * 64: peaks}))
    with parts.reading() as session:
        assert known_peaks(session, "m" * 64, peaks.threads) == peaks
        assert known_peaks(session, "m" * 64, peaks.threads + 1) is None
        assert known_peaks(session, "n" * 64, peaks.threads) is None


def test_jobs_that_measured_the_same_peaks_both_end_and_the_first_ones_stay(parts: Parts) -> None:
    first = PEAKS
    submit(parts), submit(parts)
    leases_held = [claimed(parts), claimed(parts)]
    faster = first.model_copy(update={"fp32_gflops": 2 * first.fp32_gflops})
    for lease, measured in zip(leases_held, (first, faster), strict=True):
        end(parts, lease, Ending("succeeded", peaks={"m" * 64: measured}))
    with parts.reading() as session:
        assert known_peaks(session, "m" * 64, first.threads) == first


def test_peaks_that_another_worker_keeps_in_the_same_moment_are_no_error(parts: Parts) -> None:
    def keep() -> None:
        with parts.writing.begin() as session:
            keep_peaks(session, "m" * 64, PEAKS)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(keep) for _ in range(8)]:
            done.result()


def test_outputs_become_models_of_the_tenant(parts: Parts) -> None:
    job = submit(parts)
    lineage = {"parent": "mdl_x", "candidate": "static_int8", "recipe": []}
    output = Output("mdl_new", "tiny.static_int8.onnx", "f" * 64, 12, inspection(12), lineage)
    end(parts, claimed(parts), Ending("succeeded", outputs=[output]))
    with parts.reading() as session:
        model = session.get_one(ModelRecord, "mdl_new")
    assert (model.state, model.tenant, model.job, model.lineage) == ("ready", "default", job, lineage)
    assert uses(parts, "mdl_new") == {"f" * 64}


def inspecting(parts: Parts) -> tuple[str, str]:
    """A model with its inspection job."""
    with parts.writing.begin() as session:
        model = add_model(session).id
    return model, submit(parts, kind="inspect", lane="inspect", subject=model)


def read_model(parts: Parts, id_: str) -> ModelRecord:
    with parts.reading() as session:
        return session.get_one(ModelRecord, id_)


def test_an_inspection_makes_its_model_ready(parts: Parts) -> None:
    model, _ = inspecting(parts)
    lease = claim(parts, lane="inspect")
    assert lease is not None
    end(parts, lease, Ending("succeeded", inspected=Inspected(inspection(3), {})))
    record = read_model(parts, model)
    assert record.state == "ready"
    assert record.inspection == inspection(3).model_dump(mode="json", by_alias=True)


def test_an_inspection_that_fails_rejects_its_model_with_the_finding(parts: Parts) -> None:
    model, job = inspecting(parts)
    lease = claim(parts, lane="inspect")
    assert lease is not None
    end(parts, lease, Ending("failed", finding=FINDING))
    assert read_model(parts, model).state == "rejected"
    assert read_model(parts, model).finding == FINDING.model_dump(mode="json")
    error = read_job(parts, job).error
    assert error == {"code": FINDING.code, "class": "user", "detail": FINDING.detail, "hint": FINDING.hint}


def test_no_model_stays_inspecting_when_its_inspection_is_cancelled_or_lost(parts: Parts) -> None:
    cancelled, job = inspecting(parts)
    cancel(parts, job)
    lost, _ = inspecting(parts)
    claim(parts, lane="inspect")
    expire(parts, max_deaths=1)
    states = {id_: read_model(parts, id_) for id_ in (cancelled, lost)}
    assert {record.state for record in states.values()} == {"rejected"}
    assert [record.finding and record.finding["code"] for record in states.values()] == [
        "inspection_cancelled",
        "worker_lost",
    ]


def test_a_subject_that_was_deleted_is_not_missed(parts: Parts) -> None:
    job = submit(parts, kind="inspect", lane="inspect", subject="mdl_deleted")
    lease = claim(parts, lane="inspect")
    assert lease is not None
    end(parts, lease, Ending("succeeded", inspected=Inspected(inspection(3), {})))
    assert read_job(parts, job).state == "succeeded"


def test_the_queue_says_who_comes_first(parts: Parts) -> None:
    first, second, urgent = submit(parts), submit(parts), submit(parts, priority=1)
    submit(parts, kind="inspect", lane="inspect")

    def position(job: str) -> int | None:
        with parts.reading() as session:
            return jobs.queue_positions(session, [session.get_one(JobRecord, job)]).get(job)

    assert [position(job) for job in (urgent, first, second)] == [1, 2, 3]
    claimed(parts)
    assert [position(job) for job in (urgent, first)] == [None, 1]


def test_times_are_set_by_the_moves(parts: Parts) -> None:
    job = submit(parts)
    before = utc_now()
    end(parts, claimed(parts), Ending("succeeded"))
    record = read_job(parts, job)
    assert record.started_at is not None
    assert record.finished_at is not None
    assert before <= record.started_at <= record.finished_at <= utc_now()
