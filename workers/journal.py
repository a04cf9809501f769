"""Remembers in the database what the steps of a job found, so that whoever takes it up repeats nothing."""

from __future__ import annotations

from app.core import leases
from app.core.leases import Lease
from app.core.parts import Parts
from app.core.records import StepRecord
from enxuto.schema import Digest
from enxuto.steps import Done, Outcome, Step, outcome_from_document


class DatabaseJournal:
    """A ``Journal`` that writes under the lease: a worker that lost it cannot add to a job that another one drives."""

    def __init__(self, parts: Parts, lease: Lease) -> None:
        self._parts = parts
        self._lease = lease

    def get(self, key: str, step: Step) -> Outcome | None:
        with self._parts.reading() as session:
            record = session.get(StepRecord, (self._lease.job, key))
        if record is None:
            return None
        outcome = outcome_from_document(record.kind, record.outcome)
        return outcome if all(map(self._is_there, _files(outcome))) else None

    def put(self, key: str, step: Step, outcome: Outcome) -> None:
        with self._parts.writing.begin() as session:
            leases.record_step(
                session, self._lease, key=key, kind=step.kind, outcome=outcome, blobs=_files(outcome)
            )  # fmt: skip

    def _is_there(self, digest: Digest) -> bool:
        try:
            self._parts.blobs.path(digest)
        except KeyError:
            return False
        return True


def _files(outcome: Outcome) -> set[Digest]:
    return set(outcome.files.values()) if isinstance(outcome, Done) else set()
