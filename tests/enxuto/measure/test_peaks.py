"""Peaks are measured in the box, and no node does better than they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner
from enxuto.judge.roofline import place
from enxuto.measure.bandwidth import measure_bandwidths
from enxuto.schema import Value
from enxuto.steps import Done, MeasurePeaks, ModelProfile, Peaks, ProfileModel, Step, Subject
from enxuto.workload import Workload


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[StepRunner, FolderFiles]:
    folder = tmp_path_factory.mktemp("bench")
    files = FolderFiles(folder / "files")
    return StepRunner(files, scratch=folder / "scratch"), files


def done(run: StepRunner, step: Step) -> Value:
    outcome = run(step, stop=lambda: False)
    assert isinstance(outcome, Done), outcome
    return outcome.result


@pytest.fixture(scope="module")
def peaks(bench: tuple[StepRunner, FolderFiles]) -> Peaks:
    found = done(bench[0], MeasurePeaks(threads=1))
    assert isinstance(found, Peaks)
    return found


def test_peaks_are_those_of_a_processor(peaks: Peaks) -> None:
    assert peaks.threads == 1
    assert 1 < peaks.fp32_gflops < 1000
    assert 1 < peaks.int8_gops < 10_000
    assert 0.5 < peaks.bandwidth_gb_s < 1000


def test_what_fits_into_a_cache_moves_faster_the_less_it_is(peaks: Peaks) -> None:
    speeds = [each.gb_s for each in peaks.cached]
    assert speeds == sorted(speeds, reverse=True)
    assert all(speed > peaks.bandwidth_gb_s for speed in speeds)
    assert [each.size_bytes for each in peaks.cached] == sorted(each.size_bytes for each in peaks.cached)


def test_no_node_is_far_beyond_the_peaks(bench: tuple[StepRunner, FolderFiles], peaks: Peaks, tmp_path: Path) -> None:
    run, files = bench
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 512] x) => (float[batch, 512] y) {
            [product] h = MatMul(x, w)
            [moved] y = Mul(h, x)
        }
    """)
    weight = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    step = ProfileModel(
        subject=Subject(model=files.add(tmp_path / "m.onnx")), workload=Workload(batch_size=512), samples=None,
        preprocessing={}, seed=0, duration_s=0.5,
    )  # fmt: skip
    profile = done(run, step)
    assert isinstance(profile, ModelProfile)
    product, moved = place(profile.nodes, ["product", "moved"], peaks)
    assert product.bound == "compute"
    assert moved.bound == "memory"
    assert product.of_peak is not None
    assert 0.2 < product.of_peak < 1.5  # a busy neighbor slows either by up to a third
    assert moved.of_peak is not None
    assert 0.05 < moved.of_peak < 1.5


def test_threads_share_what_is_gone_through() -> None:
    memory_gb_s, cached = measure_bandwidths(2)
    assert memory_gb_s > 0.5
    assert all(each.size_bytes % 2 == 0 for each in cached)
