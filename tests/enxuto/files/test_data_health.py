"""Planted defects of calibration and evaluation data are found, and sound data raises no alarm."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from enxuto.dataset.examine import examine_data
from enxuto.dataset.health.drift import kolmogorov_smirnov
from enxuto.metric import Metric, Perplexity, Spearman, TopK
from enxuto.signature import TensorSpec
from enxuto.steps import DataFinding, DataHealth, ExamineData, Samples
from tests.support.tiny_samples import StepFiles

IMAGE = [TensorSpec(name="image", dtype="float32", shape=["batch", 3, 6, 6])]
IDS = [TensorSpec(name="ids", dtype="int64", shape=["batch", "length"])]
ROW = [TensorSpec(name="row", dtype="float32", shape=["batch", 5])]


@pytest.fixture
def files(tmp_path: Path) -> StepFiles:
    return StepFiles(tmp_path)


def images(count: int, seed: int) -> np.ndarray:
    """Smooth enough to be images: each with a brightness and a contrast of its own."""
    random = np.random.default_rng(seed)
    brightness, contrast = random.standard_normal((count, 3, 1, 1)) / 2, random.uniform(0.3, 1, (count, 1, 1, 1))
    return (brightness + contrast * random.standard_normal((count, 3, 6, 6))).astype(np.float32)


def texts(count: int, seed: int) -> np.ndarray:
    """Frequent and rare words, padded with zeros."""
    random = np.random.default_rng(seed)
    ids = random.zipf(1.5, (count, 20)).clip(1, 500)
    return np.where(np.arange(20) < random.integers(8, 20, (count, 1)), ids, 0)


def health(
    files: StepFiles, specs: list[TensorSpec], calibration: Samples | None, evaluation: Samples | None,
    metric: Metric | None = None, scores: np.ndarray | None = None,
) -> DataHealth:  # fmt: skip
    step = ExamineData(
        inputs=specs, calibration=calibration, evaluation=evaluation, preprocessing={}, metric=metric,
        scores=None if scores is None else files.add_array(scores),
    )  # fmt: skip
    return examine_data(step, files, Path())


def of_images(
    files: StepFiles, calibration: np.ndarray, evaluation: np.ndarray, labels: np.ndarray | None = None
) -> list[DataFinding]:
    roles = files.samples({"image": calibration}), files.samples({"image": evaluation}, labels)
    return health(files, IMAGE, *roles).findings


def only(findings: list[DataFinding], code: str) -> DataFinding:
    assert [finding.code for finding in findings] == [code]
    assert findings[0].detail.endswith(".")
    assert findings[0].hint.endswith(".")
    return findings[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("calibration", "evaluation"), [(40, 400), (300, 1500)])
def test_two_draws_from_one_source_raise_no_alarm(
    seed: int, calibration: int, evaluation: int, files: StepFiles
) -> None:
    labels = np.random.default_rng(seed).integers(0, 10, evaluation)
    assert of_images(files, images(calibration, seed), images(evaluation, seed + 100), labels) == []
    roles = ({"ids": texts(count, seed + count)} for count in (calibration, evaluation))
    assert health(files, IDS, *map(files.samples, roles)).findings == []
    random = np.random.default_rng(seed)
    rows = ({"row": random.exponential(1, (count, 5)).astype(np.float32)} for count in (calibration, evaluation))
    assert health(files, ROW, *map(files.samples, rows)).findings == []


def test_sparse_counts_raise_no_alarm(files: StepFiles) -> None:
    random = np.random.default_rng(0)
    spec = [TensorSpec(name="words", dtype="float32", shape=["batch", 2000])]
    roles = ({"words": (random.random((count, 2000)) < 0.0004).astype(np.float32)} for count in (200, 1000))
    found = health(files, spec, *map(files.samples, roles)).findings
    assert {finding.code for finding in found} <= {"constant_samples", "duplicates", "shared_samples"}


def test_copies_are_counted_and_named(files: StepFiles) -> None:
    calibration = images(100, 0)
    calibration[90:] = calibration[:10]
    finding = only(of_images(files, calibration, images(400, 1)), "duplicates")
    assert (finding.role, finding.count) == ("calibration", 10)
    assert len(finding.examples) == 10
    assert all(place < 10 or place >= 90 for place in finding.examples)


def test_a_handful_of_copies_among_many_is_let_pass(files: StepFiles) -> None:
    evaluation = images(1000, 1)
    evaluation[5] = evaluation[6]
    assert of_images(files, images(100, 0), evaluation) == []


def test_small_samples_may_be_alike(files: StepFiles) -> None:
    coins = np.random.default_rng(0).integers(0, 2, (200, 5)).astype(np.float32)
    roles = files.samples({"row": coins[:100]}), files.samples({"row": coins[100:]})
    assert health(files, ROW, *roles).findings == []


def test_samples_in_both_roles_are_found(files: StepFiles) -> None:
    evaluation = images(400, 1)
    finding = only(of_images(files, np.concatenate([images(90, 0), evaluation[[3, 7]]]), evaluation), "shared_samples")
    assert (finding.role, finding.count, finding.examples) == ("both", 2, [3, 7])


def test_rows_of_a_pair_are_compared_as_a_pair(files: StepFiles) -> None:
    evaluation = texts(400, 1)
    evaluation[1::2] = evaluation[1]  # one second sentence for all
    roles = files.samples({"ids": texts(100, 0)}, group=2), files.samples({"ids": evaluation}, group=2)
    codes = {finding.code for finding in health(files, IDS, *roles).findings}
    assert "duplicates" not in codes


def test_empty_and_infinite_samples_are_named(files: StepFiles) -> None:
    calibration, evaluation = images(100, 0), images(400, 1)
    calibration[17] = 0
    evaluation[23, 1, 2, 3] = np.inf
    constant, infinite = sorted(of_images(files, calibration, evaluation), key=lambda finding: finding.code)
    assert (constant.code, constant.role, constant.examples) == ("constant_samples", "calibration", [17])
    assert (infinite.code, infinite.role, infinite.examples) == ("not_finite", "evaluation", [23])
    assert (constant.input, infinite.input) == ("image", "image")


def test_masks_of_one_value_are_nothing_strange(files: StepFiles) -> None:
    specs = [*IDS, TensorSpec(name="mask", dtype="int64", shape=["batch", "length"])]
    roles = ({"ids": texts(count, count), "mask": np.ones((count, 20), np.int64)} for count in (100, 400))
    assert health(files, specs, *map(files.samples, roles)).findings == []


@pytest.mark.parametrize("change", [lambda x: x * 60, lambda x: x / 60, lambda x: x + 20])
def test_roles_that_are_prepared_differently_are_told(change: object, files: StepFiles) -> None:
    assert callable(change)
    finding = only(of_images(files, change(images(100, 0)), images(400, 1)), "out_of_range")
    assert (finding.role, finding.input) == ("both", "image")
    assert "prepared" in finding.detail


def test_bytes_fed_as_they_are_stored_are_told_of_either_role(files: StepFiles) -> None:
    random = np.random.default_rng(0)
    both = (random.integers(0, 256, (count, 3, 6, 6)).astype(np.float32) for count in (100, 400))
    found = of_images(files, *both)
    assert [(finding.code, finding.role) for finding in found] == [
        ("out_of_range", "calibration"),
        ("out_of_range", "evaluation"),
    ]
    assert "255" in found[0].detail


def test_a_single_sample_far_outside_is_named(files: StepFiles) -> None:
    calibration = images(100, 0)
    calibration[42] *= 50
    finding = only(of_images(files, calibration, images(400, 1)), "out_of_range")
    assert (finding.role, finding.count, finding.examples) == ("calibration", 1, [42])


@pytest.mark.parametrize("change", [lambda x: x + 0.7, lambda x: x * 0.6])
def test_another_source_is_told_with_figures(change: object, files: StepFiles) -> None:
    assert callable(change)
    finding = only(of_images(files, change(images(300, 0)), images(400, 1)), "drift")
    assert "standard errors" in finding.detail


def test_many_samples_alone_make_no_drift(files: StepFiles) -> None:
    """A difference that 4,000 samples make sure, and that matters to nobody."""
    found = of_images(files, images(4000, 0) + np.float32(0.05), images(4000, 1))
    assert found == []


def test_other_words_and_other_lengths_are_drift(files: StepFiles) -> None:
    random, usual = np.random.default_rng(0), texts(400, 1)
    strange = np.where(usual > 0, random.integers(1, 500, usual.shape), 0)
    short = np.where(np.arange(20) < 5, usual, 0)
    for ids in (strange, short):
        roles = files.samples({"ids": texts(300, 2)}), files.samples({"ids": ids})
        found = health(files, IDS, *roles).findings
        assert "drift" in {finding.code for finding in found}


def test_classes_that_calibration_lacks_are_drift(files: StepFiles) -> None:
    labels = np.random.default_rng(0).integers(0, 10, 400)
    calibration = files.samples({"image": images(100, 0)}, labels[:100] % 2)
    found = health(files, IMAGE, calibration, files.samples({"image": images(400, 1)}, labels)).findings
    assert "8 of 10" in only(found, "drift").detail


def test_one_label_tells_nothing(files: StepFiles) -> None:
    finding = only(of_images(files, images(100, 0), images(400, 1), np.full(400, 3)), "one_label")
    assert finding.count == 400


def test_without_data_the_loss_of_certainty_is_said(files: StepFiles) -> None:
    finding = only(health(files, IMAGE, None, None).findings, "no_data")
    assert finding.role == "both"
    assert "random inputs" in finding.detail
    evaluation = files.samples({"image": images(400, 1)})
    assert only(health(files, IMAGE, None, evaluation).findings, "no_data").role == "calibration"
    assert only(health(files, IMAGE, evaluation, None).findings, "no_data").role == "evaluation"


def test_too_few_samples_are_told_with_what_they_leave_open(files: StepFiles) -> None:
    scores = (np.arange(40) % 10 > 0).astype(np.float64)
    roles = files.samples({"image": images(1, 0)}), files.samples({"image": images(40, 1)}, np.arange(40))
    found = health(files, IMAGE, *roles, TopK(), scores).findings
    assert [finding.code for finding in found] == ["few_calibration_samples", "few_evaluation_samples"]
    assert "There is only 1 calibration sample:" in found[0].detail
    assert "0.9 could be anything from" in found[1].detail


def test_the_curve_narrows_as_samples_double(files: StepFiles) -> None:
    scores = (np.random.default_rng(0).random(1000) < 0.9).astype(np.float64)
    evaluation = files.samples({"image": images(1000, 1)}, np.arange(1000))
    points = health(files, IMAGE, None, evaluation, TopK(), scores).curve
    assert [point.samples for point in points] == [8, 16, 32, 64, 128, 256, 512, 1000]
    assert points[-1].value == scores.mean()
    for point in points[2:]:
        expected = 2 * 1.645 * np.sqrt(0.09 / point.samples)
        assert point.high - point.low == pytest.approx(expected, rel=0.35)
        assert point.low <= point.value <= point.high


@pytest.mark.parametrize("metric", [Perplexity(), Spearman(of="pairs")])
def test_the_curve_is_the_metrics_own(metric: Metric, files: StepFiles) -> None:
    random = np.random.default_rng(0)
    truth = random.random(200)
    units = np.column_stack([truth * 20, np.full(200, 10.0)])
    if isinstance(metric, Spearman):
        units = np.column_stack([truth + random.standard_normal(200) / 5, truth])
    group = 2 if isinstance(metric, Spearman) else 1
    evaluation = files.samples({"image": images(200 * group, 1)}, truth, group=group)
    last = health(files, IMAGE, None, evaluation, metric, units).curve[-1]
    expected = np.exp(units[:, 0].sum() / 2000) if group == 1 else _rank_correlation(*units.T)
    assert last.samples == 200 * group
    assert last.value == pytest.approx(expected)
    assert last.low < last.value < last.high


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.argsort().argsort(), other.argsort().argsort())[0, 1])


def test_the_distance_is_scipys() -> None:
    from scipy.stats import ks_2samp

    random = np.random.default_rng(0)
    one, other = random.standard_normal(50).round(1), random.standard_normal(70).round(1) + 0.3
    assert kolmogorov_smirnov(one, other) == pytest.approx(ks_2samp(one, other).statistic)


def test_memory_does_not_grow_with_the_data(files: StepFiles) -> None:
    """Eight times the samples, of which only a few numbers each are kept."""
    spec = [TensorSpec(name="image", dtype="float32", shape=["batch", 3, 64, 64])]
    peaks = []
    for count in (300, 2400):
        arrays = np.zeros((count, 3, 64, 64), np.float32)
        arrays[:] = np.random.default_rng(0).standard_normal((count, 1, 1, 64))
        roles = (files.samples({"image": arrays}), files.samples({"image": arrays[:100]}))
        del arrays
        tracemalloc.start()
        health(files, spec, *roles)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    mapped: Mapping[str, float] = {"few": peaks[0] / 1e6, "many": peaks[1] / 1e6}
    assert peaks[1] < 1.3 * peaks[0], mapped
