"""What a step found is remembered with its files, and forgotten with them."""

from __future__ import annotations

import pytest

from app.core import leases
from app.core.leases import Lease, LeaseLost
from app.core.parts import Parts
from enxuto.errors import Finding
from enxuto.schema import Value
from enxuto.steps import Applied, ApplyRecipe, Done, Failed
from enxuto.techniques.dynamic_int8 import DynamicInt8
from tests.support.jobs import submit
from workers.journal import DatabaseJournal

STEP = ApplyRecipe(model="a" * 64, recipe=[DynamicInt8()], calibration=None, preprocessing={}, seed=0)


@pytest.fixture
def lease(parts: Parts) -> Lease:
    submit(parts)
    with parts.writing.begin() as session:
        lease = leases.claim(session, worker="here:1", lane="work", targets=["any"])
    assert lease
    return lease


def done(parts: Parts) -> Done[Value]:
    digest = parts.blobs.add_bytes(b"a leaner model")
    found = Applied(file="model.onnx", size_bytes=14, notes=["folded"])
    return Done[Value](result=found, files={"model.onnx": digest}, elapsed_s=0.5)


def test_what_was_found_comes_back_as_it_was(parts: Parts, lease: Lease) -> None:
    journal, outcome = DatabaseJournal(parts, lease), done(parts)
    assert journal.get("key", STEP) is None
    journal.put("key", STEP, outcome)
    assert journal.get("key", STEP) == outcome
    assert journal.get("other key", STEP) is None


def test_a_failure_is_remembered_too(parts: Parts, lease: Lease) -> None:
    journal = DatabaseJournal(parts, lease)
    failed = Failed(finding=Finding(code="not_applicable", detail="It has no weights."), elapsed_s=0.1)
    journal.put("key", STEP, failed)
    assert journal.get("key", STEP) == failed


def test_a_step_whose_files_are_gone_is_to_be_done_again(parts: Parts, lease: Lease) -> None:
    journal, outcome = DatabaseJournal(parts, lease), done(parts)
    journal.put("key", STEP, outcome)
    parts.blobs.delete(outcome.files["model.onnx"])
    assert journal.get("key", STEP) is None
    journal.put("key", STEP, done(parts))
    assert journal.get("key", STEP) == outcome


def test_another_attempt_finds_what_the_first_one_did_and_the_first_can_add_nothing(parts: Parts, lease: Lease) -> None:
    first, outcome = DatabaseJournal(parts, lease), done(parts)
    first.put("key", STEP, outcome)
    with parts.writing.begin() as session:
        leases.release(session, lease, spent_s=1.0)
        again = leases.claim(session, worker="there:2", lane="work", targets=["any"])
    assert again
    assert DatabaseJournal(parts, again).get("key", STEP) == outcome
    with pytest.raises(LeaseLost):
        first.put("late", STEP, outcome)
    assert DatabaseJournal(parts, again).get("late", STEP) is None
