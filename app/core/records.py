"""The rows. The database is the truth; everything else is a bell or a cache.

Every row belongs to a tenant. Times are UTC. Documents (requests, inspections, outcomes) are JSON that was validated
before it was written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Float, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

Document = dict[str, Any]


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time; SQLite keeps no zone, so UTC is put on when it is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: object) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Record(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime(), Document: JSON(none_as_null=True), int: BigInteger}


class TenantRecord(Record):
    """Whose rows they are. One tenant, ``default``, until keys belong to tenants."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    created_at: Mapped[datetime]


class BlobUse(Record):
    """That a model, dataset, upload or job needs a blob. A blob that nobody uses is swept away."""

    __tablename__ = "blob_uses"

    owner: Mapped[str] = mapped_column(String(40), primary_key=True)
    """Id of the model, dataset, upload or job."""
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class _Upload(Record):
    """What models and datasets have in common."""

    __abstract__ = True

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str] = mapped_column(String(255))
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    state: Mapped[str] = mapped_column(String(12))
    """``inspecting``, then ``ready`` or ``rejected``."""
    inspection: Mapped[Document | None]
    """ModelInspection or DatasetInspection, when ready."""
    finding: Mapped[Document | None]
    """Why it was rejected."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ModelRecord(_Upload):
    """A trained network in a file: uploaded, or made by a job."""

    __tablename__ = "models"
    __table_args__ = (
        Index("ix_models_tenant_id", "tenant", "id"),
        Index("ix_models_tenant_sha256", "tenant", "sha256"),
        Index("ix_models_tenant_job_id", "tenant", "job", "id"),
    )

    files: Mapped[Document | None]
    """What must lie beside it to be loaded: digest and size by the path that it calls it; null for most."""
    manifest: Mapped[str | None] = mapped_column(String(64))
    """Digest of those paths with their digests: with its own it says what the model is."""
    gathered: Mapped[str | None] = mapped_column(String(64))
    """The model as it calls those files by their digests, which is what steps read; null where it is so already."""
    job: Mapped[str | None] = mapped_column(String(40))
    """The job that made it; null for an upload."""
    lineage: Mapped[Document | None]
    """Parent model, recipe and candidate name, of a model made by a job."""


class DatasetRecord(_Upload):
    """Samples, transcoded into arrays when ready."""

    __tablename__ = "datasets"
    __table_args__ = (
        Index("ix_datasets_tenant_id", "tenant", "id"),
        Index("ix_datasets_tenant_sha256", "tenant", "sha256"),
    )

    arrays: Mapped[Document | None]
    """Digest of each array's ``.npy`` by its file name in the inspection."""


class UploadRecord(Record):
    """A file that comes in piece by piece, over as many requests as it takes."""

    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_tenant_id", "tenant", "id"), Index("ix_uploads_expires_at", "expires_at"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    offset_bytes: Mapped[int]
    """Bytes that are on the disk for good; what its file holds beyond them does not count."""
    length_bytes: Mapped[int | None]
    """Bytes of all of it; null while that is not known."""
    described: Mapped[str] = mapped_column(Text)
    """``Upload-Metadata`` as it was sent."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    """Of all of it, once it is whole. ``BlobUse`` keeps its bytes until it expires."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class JobRecord(Record):
    """One request for work. Each move between states is a compare-and-set that sets its own time."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_tenant_id", "tenant", "id"),
        Index("ix_jobs_tenant_state_id", "tenant", "state", "id"),
        Index("ix_jobs_tenant_subject_id", "tenant", "subject", "id"),
        Index("ix_jobs_queue", "state", "lane", "priority", "id"),
        Index("ix_jobs_tenant_lane_started_at", "tenant", "lane", "started_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    kind: Mapped[str] = mapped_column(String(16))
    """``inspect``, ``optimize``, ``compare``, ``benchmark`` or ``profile``."""
    lane: Mapped[str] = mapped_column(String(8))
    """``inspect`` or ``work``: an upload never waits behind somebody's search."""
    target: Mapped[str] = mapped_column(String(80))
    """The kind of machine asked for; ``any``."""
    state: Mapped[str] = mapped_column(String(12))
    request: Mapped[Document]
    """The body, validated, with every default resolved."""
    subject: Mapped[str] = mapped_column(String(40))
    """The model or dataset that it is about."""
    priority: Mapped[int] = mapped_column(Integer)
    """Smaller goes first."""

    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    attempt: Mapped[int] = mapped_column(Integer)
    """How many workers have taken it up."""
    fence: Mapped[int]
    """Goes up with every attempt; who writes with an older one writes nothing."""
    worker: Mapped[str | None] = mapped_column(String(120))
    """Who holds the lease."""
    heartbeat: Mapped[int]
    """A counter that the holder moves; the sweep watches it on its own clock."""
    spent_s: Mapped[float] = mapped_column(Float)
    """Of the deadline, by earlier attempts."""
    cancel_requested: Mapped[bool]

    phase: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(Text)
    fraction: Mapped[float] = mapped_column(Float)

    result: Mapped[Document | None]
    error: Mapped[Document | None]
    """``{code, class, detail, hint}``."""
    report: Mapped[str | None] = mapped_column(String(64))
    """Digest of the report's JSON."""
    report_html: Mapped[str | None] = mapped_column(String(64))


class JobFileRecord(Record):
    """A file that a job left beside its report and its models. ``BlobUse`` keeps its bytes."""

    __tablename__ = "job_files"

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(160), primary_key=True)
    role: Mapped[str] = mapped_column(String(12))
    """``delivered``: what programs take away; ``raw``: what was recorded while it was measured."""
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]


class EventRecord(Record):
    """Something that happened to a job; the first one is written together with the job."""

    __tablename__ = "events"

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    data: Mapped[Document]


class StepRecord(Record):
    """What a step found, kept so that a resumed job repeats nothing that is done."""

    __tablename__ = "steps"

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[Document]
    at: Mapped[datetime]


class WorkerRecord(Record):
    """A worker and the machine it runs on, as it reported itself; forgotten some time after it fell silent."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    """As in ``JobRecord.worker``."""
    target: Mapped[str] = mapped_column(String(80))
    """Name of the kind of machine it measures on."""
    machine: Mapped[Document]
    """``enxuto.machine.Machine``."""
    seen_at: Mapped[datetime]


class PeaksRecord(Record):
    """What a kind of machine can do at most with so many threads. Measured once, by the first profile that needs it."""

    __tablename__ = "peaks"

    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of the machine (``enxuto.machine.Machine``)."""
    threads: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    peaks: Mapped[Document]
    """``enxuto.steps.Peaks``."""
    at: Mapped[datetime]
