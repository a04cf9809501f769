"""The verbs on this machine, whole: real models, real processes, real numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import enxuto
from enxuto.report import OptimizeReport, ReportAdapter
from enxuto.techniques import HalfWeights, MagnitudePruning
from tests.support import tiny_data, tiny_models

SMALL = enxuto.Goal(minimize="size", max_drop=enxuto.MaxDrop(value=0.05))


def saved_net(folder: Path) -> Path:
    return tiny_models.save(tiny_models.convnet(channels=32), folder / "net.onnx")


def saved_data(folder: Path) -> Path:
    pictures = np.random.default_rng(1).standard_normal((400, 3, 8, 8)).astype(np.float32)
    return tiny_data.labelled_by(tiny_models.convnet(channels=32), folder / "eval.npz", {"image": pictures})


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return saved_net(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return saved_data(tmp_path)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[OptimizeReport, Path]:
    """What a search for the smallest file found, and the folder with what it left."""
    folder = tmp_path_factory.mktemp("searched")
    return enxuto.optimize(saved_net(folder), saved_data(folder), SMALL, out=folder / "out"), folder / "out"


def test_a_search_proves_a_smaller_file_and_delivers_it(searched: tuple[OptimizeReport, Path]):
    report, out = searched
    assert report.verdict == "improved", report.why
    assert report.recommended.size_bytes < (out.parent / "net.onnx").stat().st_size
    assert (out / "optimized.onnx").stat().st_size == report.recommended.size_bytes
    assert ReportAdapter.validate_json((out / "report.json").read_bytes()) == report
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    session = ort.InferenceSession(out / "optimized.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"image": np.zeros((2, 3, 8, 8), np.float32)})[0].shape == (2, 10)
    assert {path.name for path in out.iterdir()} == {
        "optimized.onnx", "report.html", "report.json", "settings.json", "load_model.py"
    }  # fmt: skip


def test_another_goal_is_answered_from_a_report(
    searched: tuple[OptimizeReport, Path], net: Path, data: Path, tmp_path: Path
):
    first, out = searched
    limited = SMALL.model_copy(update={"size_mb": 1.0})
    again = enxuto.optimize(net, data, limited, earlier=out / "report.json", out=tmp_path / "again")
    assert (again.winner, again.recommended.sha256) == (first.winner, first.recommended.sha256)
    assert again.candidates[0].selection == first.candidates[0].selection
    assert again.elapsed_s < first.elapsed_s / 2
    delivered = (folder / "optimized.onnx" for folder in (out, tmp_path / "again"))
    assert len({path.read_bytes() for path in delivered}) == 1, "made again, and the same to the bit"


def test_what_is_no_report_answers_nothing(net: Path, tmp_path: Path):
    page = tmp_path / "report.json"
    page.write_text("{}")
    with pytest.raises(enxuto.EnxutoError, match="no report of an optimization") as refusal:
        enxuto.optimize(net, earlier=page)
    assert refusal.value.code == "earlier_does_not_fit"
    with pytest.raises(enxuto.EnxutoError, match="no file"):
        enxuto.optimize(net, earlier=tmp_path / "none.json")


def test_a_recipe_is_applied_in_order_and_judged(net: Path, data: Path):
    report = enxuto.optimize(net, data, recipe=[MagnitudePruning(ratio=0.3), HalfWeights()])
    (candidate,) = report.candidates
    assert candidate.name == "magnitude_pruning(ratio=0.3) → half_weights"
    assert candidate.confirmation is not None
    assert candidate.confirmation.fidelity is not None
    assert candidate.confirmation.memory_bytes
    assert report.recommended == candidate.model


def test_without_data_no_accuracy_is_claimed(net: Path):
    report = enxuto.optimize(net, recipe=[HalfWeights()])
    assert report.metric is None
    assert report.verdict == "inconclusive"
    assert "no data" in report.why


def test_two_models_are_compared(net: Path, data: Path, tmp_path: Path):
    lean = tmp_path / "lean"
    enxuto.optimize(net, data, recipe=[HalfWeights()], out=lean)
    asked = enxuto.Thresholds(max_drop=enxuto.MaxDrop(value=0.05), max_size_ratio=0.9)
    report = enxuto.compare(lean / "optimized.onnx", net, data, asked, out=tmp_path / "compared")
    assert report.size.passed
    assert report.accuracy is not None
    assert report.passed is report.accuracy.passed
    assert (tmp_path / "compared" / "report.html").is_file()


def test_a_model_is_compared_with_itself_on_another_runtime(net: Path):
    report = enxuto.compare(net, net, settings=enxuto.OpenVinoSettings(), margin=0.2)
    assert (report.request.settings, report.margin) == (enxuto.OpenVinoSettings(), 0.2)
    assert report.request.against_settings == enxuto.OnnxRuntimeSettings()
    assert report.measured.speedup is not None


def test_a_load_is_run_and_delivered(net: Path, data: Path, tmp_path: Path):
    out = tmp_path / "out"
    scenario = enxuto.SingleStream(duration_s=1.0)
    report = enxuto.benchmark(net, data, scenario, workload=enxuto.Workload(runtimes=["onnxruntime"]), out=out)
    (run,) = report.runs
    assert run.found is not None
    assert run.found.latency.queries > 10
    assert report.scenario is not None
    assert not report.scenario.valid, "a second is far shorter than MLPerf wants"
    assert ReportAdapter.validate_json((out / "report.json").read_bytes()) == report
    assert (out / "report.html").is_file()


def test_peaks_are_measured_once_for_this_user(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second = enxuto.profile(net), enxuto.profile(net)
    assert (first.peaks_measured_before, second.peaks_measured_before) == (False, True)
    assert first.peaks == second.peaks
    (tmp_path / "cache" / "enxuto" / "peaks.json").write_bytes(b"{")
    assert not enxuto.profile(net).peaks_measured_before


def test_a_benchmark_that_makes_no_sense_is_refused_before_anything_is_run(net: Path):
    with pytest.raises(ValueError, match="offline scenario"):
        enxuto.benchmark(net, scenario=enxuto.SingleStream(), memory_mb=100.0)


def test_progress_only_goes_forward(net: Path):
    seen = []
    enxuto.optimize(net, recipe=[HalfWeights()], progress=seen.append)
    fractions = [progress.fraction for progress in seen if progress.phase not in ("inspect", "render")]
    assert fractions == sorted(fractions)
    assert {progress.phase for progress in seen} >= {"inspect", "apply", "confirm"}


def test_a_deadline_that_is_over_before_the_search_begins_gives_the_original_back(net: Path):
    report = enxuto.optimize(net, deadline_s=0.001)
    assert (report.verdict, report.stopped, report.recommended) == ("inconclusive", "deadline", report.model)


def test_the_same_seed_makes_the_same_model(net: Path, data: Path):
    def made() -> OptimizeReport:
        return enxuto.optimize(net, data, recipe=[MagnitudePruning(ratio=0.5)], seed=7)

    assert made().recommended == made().recommended


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(enxuto.EnxutoError, match=r"no file.*nowhere\.onnx"):
        enxuto.optimize(tmp_path / "nowhere.onnx")


def test_data_of_the_wrong_shape_is_refused_with_the_difference(net: Path, tmp_path: Path):
    wrong = tiny_data.write(tmp_path / "wrong.npz", {"image": np.zeros((10, 3, 9, 8), np.float32)})
    with pytest.raises(enxuto.EnxutoError, match="9") as refusal:
        enxuto.optimize(net, wrong)
    assert refusal.value.code == "data_does_not_fit"
