"""A model of several files, from its uploads to the one that a job made of it: all of its files go together."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from sqlalchemy import select

import enxuto
from app.core import leases
from app.core.endings import Ending, finish
from app.core.inputs import model_input
from app.core.parts import Parts
from app.core.records import BlobUse, ModelRecord
from app.core.several import File, files_of
from app.core.uploads import register, remove
from enxuto.execution import process
from enxuto.runtimes import load_model
from enxuto.schema import Value
from enxuto.steps import ApplyRecipe, Done
from enxuto.techniques.half_weights import HalfWeights
from enxuto.workload import Workload
from tests.support import reports
from tests.support.jobs import add_tenant, submit
from tests.support.tiny_models import mlp
from workers import drive_job as driving
from workers import kinds
from workers.bench import Bench, step_runner
from workers.pulse import Pulse

WEIGHTS = "parts/weights.bin"


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A model whose weights all lie in another file, in a folder below its own."""
    path = tmp_path / "given" / "m.onnx"
    (path.parent / "parts").mkdir(parents=True)
    onnx.save(mlp(), path, save_as_external_data=True, location=WEIGHTS, size_threshold=0)
    return path


def given(parts: Parts, apart: Path, **others: bytes) -> str:
    """Registered as the API does it."""
    beside = {WEIGHTS: apart.parent / WEIGHTS}
    files = {path: File(parts.blobs.add(place), place.stat().st_size) for path, place in beside.items()}
    files |= {path: File(parts.blobs.add_bytes(data), len(data)) for path, data in others.items()}
    return taken(parts, apart, files)


def taken(parts: Parts, apart: Path, files: dict[str, File]) -> str:
    digest = parts.blobs.add(apart)
    with parts.writing.begin() as session:
        tenant = add_tenant(session, "default")
        size = apart.stat().st_size
        return register(
            session, ModelRecord, tenant=tenant, name="m.onnx", sha256=digest, size_bytes=size, beside=files
        )[0].id


def work(parts: Parts, lane: str) -> str:
    """Do the next job of a lane; its id."""
    with parts.writing.begin() as session:
        lease = leases.claim(session, worker="here:1", lane=lane, targets=["any"])  # type: ignore[arg-type]
    assert lease
    driving.drive_job(parts, lease, threading.Event())
    return lease.job


def read(parts: Parts, id_: str) -> ModelRecord:
    with parts.reading() as session:
        return session.get_one(ModelRecord, id_)


def used(parts: Parts, owner: str) -> set[str]:
    with parts.reading() as session:
        return set(session.scalars(select(BlobUse.sha256).where(BlobUse.owner == owner)))


def halved(parts: Parts, model: str) -> Done[Value]:
    """The model with its weights in half precision, as a job's step leaves it."""
    with parts.reading() as session:
        subject = model_input(session.get_one(ModelRecord, model)).file
    step = ApplyRecipe(
        model=subject, recipe=[HalfWeights()], calibration=None, preprocessing={}, seed=0, workload=Workload()
    )
    outcome = step_runner(parts)(step, stop=lambda: False)
    assert isinstance(outcome, Done), outcome
    return outcome


def kept_as_output(parts: Parts, model: str, digest: str) -> ModelRecord:
    """End a job whose winner these bytes are."""
    job = submit(parts, request={"kind": "optimize", "model": model})
    report = reports.optimize_report()
    won = next(one for one in report.candidates if one.name == report.winner)
    assert won.model
    ours = won.model_copy(update={"model": won.model.model_copy(update={"sha256": digest})})
    report = report.model_copy(update={"candidates": [ours], "pareto": []})
    with parts.writing.begin() as session:
        lease = leases.claim(session, worker="here:1", lane="work", targets=["any"])
    assert lease
    with Pulse(parts, lease) as pulse:
        outputs = kinds._outputs(Bench(parts, lease, pulse, threading.Event()), report)
    with parts.writing.begin() as session:
        finish(session, lease, Ending("succeeded", outputs=outputs))
    with parts.reading() as session:
        return session.scalars(select(ModelRecord).where(ModelRecord.job == job)).one()


def test_a_model_with_its_weights_becomes_ready(parts: Parts, apart: Path) -> None:
    model = read(parts, given(parts, apart))
    work(parts, "inspect")
    ready = read(parts, model.id)
    assert ready.state == "ready", ready.finding
    assert ready.inspection
    assert ready.inspection["parameters"] > 0
    assert ready.gathered not in (None, ready.sha256)
    assert parts.blobs.beside(ready.gathered or "") == [files_of(ready.files)[WEIGHTS].sha256]
    assert used(parts, ready.id) == {ready.sha256, ready.gathered, files_of(ready.files)[WEIGHTS].sha256}


def test_a_tensor_without_elements_may_lie_in_an_empty_file(parts: Parts, apart: Path) -> None:
    proto = onnx.load(apart, load_external_data=False)
    nothing = proto.graph.initializer.add(name="nothing", data_type=onnx.TensorProto.FLOAT, dims=[0])
    nothing.data_location = onnx.TensorProto.EXTERNAL
    nothing.external_data.add(key="location", value="nothing")
    apart.write_bytes(proto.SerializeToString())
    model = given(parts, apart, nothing=b"")
    work(parts, "inspect")
    ready = read(parts, model)
    assert ready.state == "ready", ready.finding
    assert halved(parts, model).files


def test_a_file_that_is_missing_is_named(parts: Parts, apart: Path) -> None:
    model = taken(parts, apart, {"weights.bin": File(parts.blobs.add_bytes(b"elsewhere"), 9)})
    work(parts, "inspect")
    rejected = read(parts, model)
    assert rejected.state == "rejected"
    assert rejected.finding
    assert rejected.finding["code"] == "weights_missing"
    assert WEIGHTS in rejected.finding["detail"]


def test_a_file_that_nothing_names_is_told(parts: Parts, apart: Path) -> None:
    model = given(parts, apart, notes=b"read me")
    work(parts, "inspect")
    ready = read(parts, model)
    assert ready.state == "ready"
    assert ready.inspection
    [advice] = [one for one in ready.inspection["advice"] if one["code"] == "files_not_needed"]
    assert "'notes'" in advice["detail"]


def test_a_model_that_keeps_weights_outside_is_rejected(parts: Parts, apart: Path) -> None:
    proto = onnx.load(apart, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../../../etc/passwd"
    apart.write_bytes(proto.SerializeToString())
    model = given(parts, apart)
    work(parts, "inspect")
    rejected = read(parts, model)
    assert (rejected.state, rejected.finding and rejected.finding["code"]) == ("rejected", "external_data")


def test_a_model_that_came_without_its_weights_is_told_how_to_send_them(parts: Parts, apart: Path) -> None:
    model = taken(parts, apart, {})
    work(parts, "inspect")
    finding = read(parts, model).finding
    assert finding
    assert finding["code"] == "external_data"
    assert "POST /v1/models as JSON" in finding["hint"]


def test_the_same_files_are_taken_once_and_others_under_the_same_model_are_not(parts: Parts, apart: Path) -> None:
    first, again = given(parts, apart), given(parts, apart)
    assert first == again
    assert given(parts, apart, more=b"x") != first
    assert taken(parts, apart, {}) != first


def test_a_model_that_is_deleted_lets_go_of_all_its_files(parts: Parts, apart: Path) -> None:
    model = given(parts, apart)
    work(parts, "inspect")
    with parts.writing.begin() as session:
        remove(session, session.get_one(ModelRecord, model))
    assert used(parts, model) == set()


_CHILD = """
import runpy, sys
sys.path.insert(0, {home!r})
import enxuto.execution.perform as performing
from enxuto.execution import child

def perform(step, files, out, do=performing.perform):
    from enxuto.graph import write
    write._LARGE_TENSOR, write._WORTH_PARTS, write._LARGEST_FILE = 16, 0, write._SPARE_BYTES
    return do(step, files, out)

performing.perform = perform
runpy.run_path(child.__file__, run_name="__main__")
"""
"""A step to which a byte is more than one file can hold."""


def test_a_model_that_one_file_cannot_hold_comes_out_with_its_weights_beside_it(
    parts: Parts, apart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child.py").write_text(_CHILD.format(home=str(Path(enxuto.__file__).parents[1])))
    monkeypatch.setattr(process, "_CHILD", tmp_path / "child.py")
    model = given(parts, apart)
    work(parts, "inspect")
    step = halved(parts, model)
    made = kept_as_output(parts, model, step.files["model.onnx"])
    [(path, file)] = files_of(made.files).items()
    assert path == file.sha256
    assert used(parts, made.id) == {made.sha256, file.sha256}
    assert made.size_bytes == parts.blobs.size_bytes(made.sha256)
    assert made.inspection
    assert made.inspection["size_bytes"] == made.size_bytes + file.size_bytes
    home = tmp_path / "home"
    home.mkdir()
    (home / "lean.onnx").write_bytes(parts.blobs.path(made.sha256).read_bytes())
    (home / path).write_bytes(parts.blobs.path(file.sha256).read_bytes())
    onnx.checker.check_model(str(home / "lean.onnx"))
    np.testing.assert_allclose(answers(home / "lean.onnx"), answers(apart), rtol=0.01, atol=0.01)


def answers(path: Path) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((3, 16), dtype=np.float32)
    return load_model(path).run({"x": x})[0]
