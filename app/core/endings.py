"""How a job ends: everything that it leaves, in one transaction that checks the fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from app.core import jobs
from app.core.database import utc_now
from app.core.leases import Lease, LeaseLost, add_uses, held
from app.core.peaks import keep_peaks
from app.core.records import BlobUse, DatasetRecord, Document, JobFileRecord, JobRecord, ModelRecord
from app.core.several import Beside, document, manifest
from enxuto.errors import Finding
from enxuto.schema import Digest
from enxuto.signature import DatasetInspection, ModelInspection
from enxuto.steps import Peaks


@dataclass(frozen=True)
class Output:
    """A model that the job made and that is kept."""

    id: str
    name: str
    sha256: Digest
    size_bytes: int
    inspection: ModelInspection
    lineage: Document
    beside: Beside = field(default_factory=dict)
    """Files that hold its weights, which it calls by their digests."""


FileRole = Literal["delivered", "raw"]


@dataclass(frozen=True)
class JobFile:
    """A file that stays beside the report, under a name that no other file of the job has."""

    name: str
    role: FileRole
    """``delivered``: what programs take away; ``raw``: what was recorded while it was measured."""
    sha256: Digest
    size_bytes: int


@dataclass(frozen=True)
class Inspected:
    """What an inspection found: the subject becomes ready."""

    inspection: ModelInspection | DatasetInspection
    arrays: Mapping[str, Digest]
    """Of a dataset: digest of each array's ``.npy`` by its file name."""
    gathered: Digest | None = None
    """Of a model of several files: the one that calls them by their digests."""


@dataclass(frozen=True)
class Ending:
    """Everything that a job leaves, written in one transaction."""

    state: Literal["succeeded", "failed", "cancelled"]
    result: Document | None = None
    finding: Finding | None = None
    """What was wrong, of a failed job or of a rejected upload."""
    report: Digest | None = None
    report_html: Digest | None = None
    files: Sequence[JobFile] = ()
    outputs: Sequence[Output] = ()
    inspected: Inspected | None = None
    peaks: Mapping[str, Peaks] = field(default_factory=dict)
    """What machines can do at most, by their fingerprint, as far as this job was the one to measure it."""


def finish(session: Session, lease: Lease, ending: Ending) -> None:
    """End the job with all that it leaves, or raise LeaseLost and leave nothing."""
    finding = ending.finding
    values: dict[str, Any] = {"result": ending.result, "error": jobs.error_document(finding) if finding else None}
    values |= {"report": ending.report, "report_html": ending.report_html, "phase": ending.state, "message": ""}
    if ending.state == "succeeded":
        values["fraction"] = 1.0
    if not jobs.move(session, lease.job, ending.state, held(lease), **values):
        raise LeaseLost(f"The lease of job {lease.job} is gone; another attempt ends it.")
    session.execute(delete(BlobUse).where(BlobUse.owner == lease.job))
    kept = {ending.report, ending.report_html, *(file.sha256 for file in ending.files)}
    add_uses(session, lease.job, [digest for digest in kept if digest])
    session.add_all(JobFileRecord(job=lease.job, **vars(file)) for file in ending.files)
    for output in ending.outputs:
        _add_output(session, lease, output)
    for fingerprint, peaks in ending.peaks.items():
        keep_peaks(session, fingerprint, peaks)
    _settle(session, lease, ending)


def _add_output(session: Session, lease: Lease, output: Output) -> None:
    now = utc_now()
    session.add(
        ModelRecord(
            id=output.id,
            tenant=lease.tenant,
            name=output.name,
            sha256=output.sha256,
            size_bytes=output.size_bytes,
            files=document(output.beside),
            manifest=manifest(output.beside),
            state="ready",
            inspection=output.inspection.model_dump(mode="json", by_alias=True),
            finding=None,
            created_at=now,
            updated_at=now,
            job=lease.job,
            lineage=output.lineage,
        )
    )
    session.flush()
    add_uses(session, output.id, {output.sha256, *(file.sha256 for file in output.beside.values())})


def _settle(session: Session, lease: Lease, ending: Ending) -> None:
    """Of an inspection: make its model or dataset ready, or reject it with the finding."""
    found = ending.inspected
    if found is None:
        record = session.get_one(JobRecord, lease.job, populate_existing=True)
        jobs.settle_subject(session, record, ending.finding or jobs.CANCELLED)
        return
    seen = found.inspection.model_dump(mode="json", by_alias=True)
    values: dict[str, Any] = {"state": "ready", "inspection": seen, "updated_at": utc_now()}
    if isinstance(found.inspection, ModelInspection):
        values["gathered"] = found.gathered
        ready = update(ModelRecord).where(ModelRecord.id == lease.subject).values(values).returning(ModelRecord.id)
    else:
        values["arrays"] = dict(found.arrays)
        ready = (
            update(DatasetRecord).where(DatasetRecord.id == lease.subject).values(values).returning(DatasetRecord.id)
        )
    if session.scalar(ready) is not None:  # it may have been deleted in the meantime
        gathered = [found.gathered] if found.gathered else []
        add_uses(session, lease.subject, [*found.arrays.values(), *gathered])
