"""A claimed job ends with all that it leaves, or says what was wrong; steps run in real processes."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from app.core import jobs, leases
from app.core.database import utc_now
from app.core.endings import Ending
from app.core.ids import new_id
from app.core.parts import Parts
from app.core.peaks import known_peaks
from app.core.records import BlobUse, DatasetRecord, JobFileRecord, JobRecord, ModelRecord
from enxuto.machine import this_machine
from enxuto.report import OptimizeReport, ReportAdapter
from tests.support import tiny_data
from tests.support.jobs import add_model, add_tenant, event_kinds, read_job, submit
from tests.support.processes import wait_for
from tests.support.tiny_models import convnet, mlp
from workers import drive_job as driving
from workers import kinds
from workers.bench import Bench

MODEL = convnet().SerializeToString()


def drive(parts: Parts, job: str, stopping: threading.Event | None = None) -> JobRecord:
    lane: jobs.Lane = "inspect" if read_job(parts, job).lane == "inspect" else "work"
    with parts.writing.begin() as session:
        lease = leases.claim(session, worker="here:1", lane=lane, targets=["any"])
    assert lease
    assert lease.job == job
    driving.drive_job(parts, lease, stopping or threading.Event())
    return read_job(parts, job)


def uploaded_model(parts: Parts, data: bytes = MODEL) -> str:
    digest = parts.blobs.add_bytes(data)
    with parts.writing.begin() as session:
        model = add_model(session, sha256=digest).id
        session.add(BlobUse(owner=model, sha256=digest))
    return model


def uploaded_dataset(parts: Parts, data: bytes) -> str:
    digest = parts.blobs.add_bytes(data)
    with parts.writing.begin() as session:
        dataset = DatasetRecord(
            id=new_id("dst"),
            tenant=add_tenant(session, "default"),
            name="data.npz",
            sha256=digest,
            size_bytes=len(data),
            state="inspecting",
            created_at=utc_now(),
            updated_at=utc_now(),
        )
        session.add(dataset)
    return dataset.id


def inspected(parts: Parts, subject: str) -> JobRecord:
    return drive(parts, submit(parts, kind="inspect", lane="inspect", subject=subject))


def read_upload(parts: Parts, id_: str) -> ModelRecord | DatasetRecord:
    with parts.reading() as session:
        found = session.get(ModelRecord, id_) or session.get(DatasetRecord, id_)
    assert found
    return found


def optimize(parts: Parts, model: str, **request: object) -> str:
    body = {"kind": "optimize", "model": model, "target": "any", "data": {}, "recipe": [{"kind": "dynamic_int8"}]}
    return submit(parts, subject=model, request={**body, **request})


def test_an_inspected_model_is_ready(parts: Parts) -> None:
    model = uploaded_model(parts)
    assert inspected(parts, model).state == "succeeded"
    record = read_upload(parts, model)
    assert record.state == "ready"
    assert record.inspection
    assert record.inspection["inputs"][0]["name"] == "image"


def test_an_inspected_dataset_is_ready_with_its_arrays(parts: Parts, tmp_path: Path) -> None:
    dataset = uploaded_dataset(parts, tiny_data.images(tmp_path / "data.npz").read_bytes())
    assert inspected(parts, dataset).state == "succeeded"
    record = read_upload(parts, dataset)
    assert isinstance(record, DatasetRecord)
    assert record.arrays
    assert all(parts.blobs.path(digest) for digest in record.arrays.values())
    with parts.reading() as session:
        used = set(session.scalars(select(BlobUse.sha256).where(BlobUse.owner == dataset)))
    assert used == set(record.arrays.values())


def test_bytes_that_are_no_model_are_rejected_with_a_finding(parts: Parts) -> None:
    model = uploaded_model(parts, b"this is no model")
    job = inspected(parts, model)
    record = read_upload(parts, model)
    assert (job.state, record.state) == ("failed", "rejected")
    assert job.error and record.finding  # noqa: PT018
    assert job.error["class"] == record.finding["fault"] == "user"
    assert job.error["code"] == record.finding["code"]
    assert record.finding["hint"]


def test_a_recipe_leaves_a_model_with_its_lineage_a_report_and_a_page(parts: Parts, tmp_path: Path) -> None:
    model = uploaded_model(parts)
    dataset = uploaded_dataset(parts, tiny_data.images(tmp_path / "data.npz").read_bytes())
    inspected(parts, model), inspected(parts, dataset)
    job = drive(parts, optimize(parts, model, data={"evaluation": dataset}))
    assert job.state == "succeeded", job.error
    assert job.report and job.report_html and job.result  # noqa: PT018
    report = ReportAdapter.validate_json(parts.blobs.path(job.report).read_bytes())
    assert isinstance(report, OptimizeReport)
    assert report.model.id == model
    assert b"<html" in parts.blobs.path(job.report_html).read_bytes()
    with parts.reading() as session:
        (made,) = session.scalars(select(ModelRecord).where(ModelRecord.job == job.id))
        kept = set(session.scalars(select(BlobUse.sha256).where(BlobUse.owner == job.id)))
    assert made.state == "ready"
    assert made.lineage
    assert made.lineage["parent"] == model
    assert made.id in {candidate["model"] for candidate in job.result["candidates"]}
    assert parts.blobs.path(made.sha256).stat().st_size == made.size_bytes
    assert {job.report, job.report_html} <= kept


def test_another_goal_is_answered_from_an_earlier_job(parts: Parts, tmp_path: Path) -> None:
    model = uploaded_model(parts)
    dataset = uploaded_dataset(parts, tiny_data.images(tmp_path / "data.npz").read_bytes())
    inspected(parts, model), inspected(parts, dataset)
    common = {"data": {"evaluation": dataset}, "recipe": None, "workload": {"runtimes": ["onnxruntime"]}}
    small = {"minimize": "size", "max_drop": None}
    first = drive(parts, optimize(parts, model, **common, goal=small))
    assert first.state == "succeeded", first.error
    again = drive(parts, optimize(parts, model, **common, goal={**small, "size_mb": 0.000001}, earlier=first.id))
    assert again.state == "succeeded", again.error
    assert again.report is not None
    report = OptimizeReport.model_validate_json(parts.blobs.path(again.report).read_bytes())
    assert (report.earlier, report.blocking, report.winner) == (first.id, "size_mb", None)
    assert report.elapsed_s < 5


def test_a_report_is_in_use_before_its_page_is_rendered(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    model = uploaded_model(parts)
    inspected(parts, model)
    used: dict[str, set[str]] = {}

    def look(bench: Bench, report: str) -> None:
        with parts.reading() as session:
            owners = session.scalars(select(BlobUse.owner).where(BlobUse.sha256 == report))
            used[report] = set(owners)

    monkeypatch.setattr(kinds, "_rendered", look)
    job = drive(parts, optimize(parts, model))
    assert used == {job.report: {job.id}}


def test_data_that_does_not_fit_is_the_users_to_mend(parts: Parts, tmp_path: Path) -> None:
    model = uploaded_model(parts, mlp().SerializeToString())
    dataset = uploaded_dataset(parts, tiny_data.images(tmp_path / "data.npz").read_bytes())
    inspected(parts, model), inspected(parts, dataset)
    job = drive(parts, optimize(parts, model, data={"evaluation": dataset}))
    assert job.state == "failed"
    assert job.error
    assert (job.error["code"], job.error["class"]) == ("data_does_not_fit", "user")


def test_a_model_that_was_deleted_while_the_job_waited_is_said_to_be_gone(parts: Parts) -> None:
    job = drive(parts, optimize(parts, new_id("mdl")))
    assert job.error
    assert (job.state, job.error["code"]) == ("failed", "model_gone")


def test_a_kind_of_job_from_a_newer_api_is_refused(parts: Parts) -> None:
    job = drive(parts, submit(parts, kind="distil"))
    assert job.error
    assert job.error["code"] == "unknown_job_kind"


def test_a_worker_that_stops_gives_the_job_back(parts: Parts) -> None:
    stopping = threading.Event()
    stopping.set()
    model = uploaded_model(parts)
    job = drive(parts, submit(parts, kind="inspect", lane="inspect", subject=model), stopping)
    assert job.state == "queued"
    assert event_kinds(parts, job.id)[-1] == "released"
    assert read_upload(parts, model).state == "inspecting"
    assert drive(parts, job.id).state == "succeeded"


def test_a_job_that_is_cancelled_before_anything_was_found_is_cancelled(parts: Parts) -> None:
    model = uploaded_model(parts)
    job = submit(parts, kind="inspect", lane="inspect", subject=model)
    with parts.writing.begin() as session:
        lease = leases.claim(session, worker="here:1", lane="inspect", targets=["any"])
        assert lease
        jobs.request_cancel(session, session.get_one(JobRecord, job))
    driving.drive_job(parts, lease, threading.Event())
    assert read_job(parts, job).state == "cancelled"
    assert read_upload(parts, model).state == "rejected"


def failing(error: Exception) -> Callable[[Bench], Ending]:
    def fail(bench: Bench) -> Ending:
        raise error

    return fail


def test_a_defect_of_ours_ends_the_job_and_tells_users_nothing_of_our_insides(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(driving.KINDS, "optimize", failing(ValueError("/secret/path")))  # type: ignore[arg-type]
    job = drive(parts, submit(parts))
    assert job.error
    assert (job.state, job.error["code"], job.error["class"]) == ("failed", "internal", "internal")
    assert "secret" not in str(job.error)


def test_a_full_disk_is_the_operators_to_mend(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(driving.KINDS, "optimize", failing(OSError(errno.ENOSPC, "/x")))  # type: ignore[arg-type]
    job = drive(parts, submit(parts))
    assert job.error
    assert (job.state, job.error["code"], job.error["class"]) == ("failed", "disk_full", "capacity")


OFFLINE = {"kind": "offline", "batch_sizes": [1, 2], "threads": [1], "instances": [1]}
ONE_RUNTIME = [{"runtime": "onnxruntime"}]


def benchmark(parts: Parts, model: str, **request: object) -> str:
    body = {"kind": "benchmark", "model": model, "target": "any", "data": {}, "settings": ONE_RUNTIME}
    return submit(parts, kind="benchmark", subject=model, request={**body, "scenario": OFFLINE, **request})


def profile(parts: Parts, model: str, **request: object) -> str:
    body = {"kind": "profile", "model": model, "target": "any", "data": {}}
    return submit(parts, kind="profile", subject=model, request={**body, **request})


def files_of(parts: Parts, job: str) -> dict[str, JobFileRecord]:
    with parts.reading() as session:
        found = session.scalars(select(JobFileRecord).where(JobFileRecord.job == job)).all()
        used = set(session.scalars(select(BlobUse.sha256).where(BlobUse.owner == job)))
    assert {file.sha256 for file in found} <= used, "a file that is named may not be swept away"
    for file in found:
        assert parts.blobs.path(file.sha256).stat().st_size == file.size_bytes
    return {file.name: file for file in found}


def test_a_recipe_leaves_settings_with_a_loader_and_what_was_timed(parts: Parts) -> None:
    model = uploaded_model(parts)
    inspected(parts, model)
    files = files_of(parts, drive(parts, optimize(parts, model)).id)
    assert {name for name, file in files.items() if file.role == "delivered"} == {"settings.json", "load_model.py"}
    assert "confirmation-calls-load-1.npz" in files


def test_a_benchmark_leaves_its_points_and_every_calls_time(parts: Parts) -> None:
    model = uploaded_model(parts)
    inspected(parts, model)
    job = drive(parts, benchmark(parts, model))
    assert job.state == "succeeded", job.error
    assert job.result
    assert [(point["batch_size"], point["outcome"]) for point in job.result["points"]] == [
        (1, "measured"),
        (2, "measured"),
    ]
    files = files_of(parts, job.id)
    calls = np.load(parts.blobs.path(files["onnxruntime-batch-2-threads-1-instances-1-load-1.npz"].sha256))
    assert calls["0"].dtype == np.int64
    assert len(calls["0"])
    assert job.report
    report = ReportAdapter.validate_json(parts.blobs.path(job.report).read_bytes())
    assert report.model.id == model


def test_a_benchmark_that_is_cancelled_keeps_the_points_measured_so_far(parts: Parts) -> None:
    model = uploaded_model(parts)
    inspected(parts, model)
    job = benchmark(parts, model, scenario={**OFFLINE, "batch_sizes": [*range(1, 31)]})
    with parts.writing.begin() as session:
        lease = leases.claim(session, worker="here:1", lane="work", targets=["any"])
    assert lease
    working = threading.Thread(target=driving.drive_job, args=(parts, lease, threading.Event()))
    working.start()
    wait_for(lambda: event_kinds(parts, job).count("step") >= 4, 120)
    with parts.writing.begin() as session:
        jobs.request_cancel(session, session.get_one(JobRecord, job))
    working.join(60)
    ended = read_job(parts, job)
    assert (ended.state, ended.error) == ("cancelled", None)
    assert ended.result
    assert ended.result["stopped"] == "cancelled"
    measured = [point for point in ended.result["points"] if point["outcome"] == "measured"]
    assert 1 <= len(measured) < 30
    assert ended.report and ended.report_html  # noqa: PT018
    assert files_of(parts, job)


def test_peaks_are_measured_by_the_first_profile_and_serve_the_next(parts: Parts) -> None:
    model = uploaded_model(parts)
    inspected(parts, model)
    first, second = (drive(parts, profile(parts, model)) for _ in range(2))
    assert (first.state, second.state) == ("succeeded", "succeeded"), (first.error, second.error)
    assert first.result and second.result  # noqa: PT018
    assert (first.result["roofline"]["measured_before"], second.result["roofline"]["measured_before"]) == (False, True)
    assert first.result["roofline"]["peaks"] == second.result["roofline"]["peaks"]
    assert first.result["model"] == model
    assert any("Conv" in node["op_type"] for node in first.result["nodes"])
    assert first.result["roofline"]["fp32_ridge"] > 0
    kept = files_of(parts, first.id)["profile-model.json"]
    assert json.loads(parts.blobs.path(kept.sha256).read_text())


def test_two_models_are_profiled_side_by_side_with_the_peaks_of_their_threads(parts: Parts) -> None:
    model, against = uploaded_model(parts), uploaded_model(parts, convnet(channels=16).SerializeToString())
    inspected(parts, model), inspected(parts, against)
    job = drive(parts, profile(parts, model, against=against, workload={"threads": 2, "batch_size": 2}))
    assert job.state == "succeeded", job.error
    assert job.result
    assert job.result["against"]["model"] == against
    assert job.result["groups"]
    assert set(files_of(parts, job.id)) == {"profile-model.json", "profile-against.json"}
    with parts.reading() as session:
        fingerprint = this_machine().fingerprint
        assert known_peaks(session, fingerprint, 2)
        assert known_peaks(session, fingerprint, 1) is None
