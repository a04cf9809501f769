"""The command line against the whole service, and the same verbs in one process: the same report either way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from enxuto.client import Client
from enxuto.errors import EnxutoError
from enxuto.recipe import Recipe
from enxuto.report import BenchmarkReport, OptimizeReport, ProfileReport, ReportAdapter
from enxuto.techniques import HalfWeights
from tests.support.command import enxuto
from tests.support.service import Service, running_service
from tests.support.tiny_data import features, images
from tests.support.tiny_models import mlp, save

RECIPE: Recipe = [HalfWeights()]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(mlp(), tmp_path / "m.onnx")


def test_a_recipe_goes_out_and_a_leaner_model_comes_home(service: Service, model: Path, tmp_path: Path) -> None:
    data, out = features(tmp_path / "eval.npz", count=200), tmp_path / "out"
    ran = enxuto(
        "optimize", str(model), "--data", str(data), "--recipe", "half_weights", "--server", service.url, "-o", str(out)
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "half_weights" in ran.out
    report = ReportAdapter.validate_json((out / "report.json").read_bytes())
    assert isinstance(report, OptimizeReport)
    assert (report.request.recipe, report.replay.model) == (RECIPE, hashlib.sha256(model.read_bytes()).hexdigest())
    assert report.why in (out / "report.html").read_text(encoding="utf-8").replace("&#39;", "'").replace("&lt;", "<")
    lean = (out / "optimized.onnx").read_bytes()
    assert hashlib.sha256(lean).hexdigest() == report.recommended.sha256
    session = ort.InferenceSession(lean, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.zeros((2, 16), np.float32)})[0].shape == (2, 4)
    (listed,) = json.loads(enxuto("jobs", "list", "--kind", "optimize", "--json", "--server", service.url).out)
    assert listed["result"]["model"] == report.recommended.id


def test_a_benchmark_comes_home_with_its_serving_plan(service: Service, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = enxuto(
        "benchmark", str(model), "--batch-sizes", "4", "--runtime", "onnxruntime", "--serve-p95-ms", "2000",
        "--serve-rate", "200", "--serve-check", "2", "--server", service.url, "-o", str(out),
    )  # fmt: skip
    assert ran.code == 0, ran.err + ran.out
    assert "✓ holds" in ran.out
    report = ReportAdapter.validate_json((out / "report.json").read_bytes())
    assert isinstance(report, BenchmarkReport)
    assert {(point.batch_size, point.outcome) for point in report.points} == {(4, "measured")}
    assert (out / "config.pbtxt").is_file()
    compile((out / "serve.py").read_text(encoding="utf-8"), "serve.py", "exec")
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with Client(service.url) as client:
        job = next(client.jobs(kind="benchmark"))
        raw = next(file for file in client.files(job.id) if file.name.startswith("plan-check"))
        recorded = np.load(client.download_file(job.id, raw, tmp_path))
    assert len(recorded["answered_ns"]) == report.plan.measured.latency.queries  # type: ignore[union-attr]


def test_a_load_that_is_not_carried_fails_the_pipeline(service: Service, model: Path) -> None:
    load = ["--scenario", "server", "--runtime", "onnxruntime", "--duration", "2", "--rate", "30"]
    for latency_ms, code in (("5000", 0), ("0.000001", 1)):
        ran = enxuto("benchmark", str(model), *load, "--latency-ms", latency_ms, "--percentile", "50", "--server",
                     service.url)  # fmt: skip
        assert ran.code == code, ran.err + ran.out


def test_two_models_are_profiled_side_by_side(service: Service, model: Path, tmp_path: Path) -> None:
    wider = save(mlp(seed=1), tmp_path / "other.onnx")
    ran = enxuto("profile", str(model), str(wider), "--json", "--server", service.url)
    assert ran.code == 0, ran.err
    report = ReportAdapter.validate_json(ran.out)
    assert isinstance(report, ProfileReport)
    assert report.against is not None
    assert report.groups
    again = ReportAdapter.validate_json(enxuto("profile", str(model), "--json", "--server", service.url).out)
    assert isinstance(again, ProfileReport)
    assert again.peaks_measured_before
    assert again.peaks == report.peaks


def test_data_that_does_not_fit_is_told_in_the_same_words(service: Service, model: Path, tmp_path: Path) -> None:
    data = images(tmp_path / "eval.npz")
    with Client(service.url) as client, pytest.raises(EnxutoError) as caught:
        client.optimize(model, data, recipe=RECIPE)
    assert caught.value.finding.fault == "user"
    assert "image" in caught.value.detail
    ran = enxuto("optimize", str(model), "--data", str(data), "--recipe", "half_weights", "--server", service.url)
    assert (ran.code, ran.out) == (1, "")
    assert caught.value.detail in ran.err
