"""What copies of real models carry, measured by the real step."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from enxuto.errors import BadInput
from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner
from enxuto.measure.copies import Copy, Slice, Together
from enxuto.measure.throughput import measure_throughput
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.steps import Done, MeasureThroughput, Samples, Subject, Throughput
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.tiny_samples import StepFiles


@pytest.fixture
def files(tmp_path: Path) -> StepFiles:
    return StepFiles(tmp_path)


def step_for(
    files: StepFiles,
    model: ModelProto,
    *,
    batch_size: int = 1,
    instances: int = 1,
    settings: RunSettings | None = None,
    samples: Samples | None = None,
) -> MeasureThroughput:
    return MeasureThroughput(
        subject=Subject(model=files.add_model(model), settings=settings or OnnxRuntimeSettings()),
        workload=Workload(batch_size=batch_size),
        instances=instances,
        duration_s=0.2,
        samples=samples,
        preprocessing={},
        load=0,
        seed=0,
    )


@pytest.fixture(autouse=True)
def _collects_garbage_afterwards() -> Iterator[None]:
    """The step turns it off for good, since its process ends with it; this one goes on."""
    yield
    gc.enable()


@pytest.mark.parametrize("settings", [OnnxRuntimeSettings(), OpenVinoSettings()], ids=lambda each: each.runtime)
def test_every_copy_is_measured_and_every_call_kept(files: StepFiles, tmp_path: Path, settings: RunSettings) -> None:
    step = step_for(files, tiny_models.convnet(), batch_size=4, instances=2, settings=settings)
    found = measure_throughput(step, files, tmp_path)
    with np.load(tmp_path / found.calls_file) as calls:
        assert calls.files == ["0", "1"]
        walls = [calls[name] for name in calls.files]
    assert all(wall.dtype == np.int64 and wall.size >= 3 and wall.min() > 0 for wall in walls)
    assert found.calls == sum(wall.size for wall in walls)
    assert found.p50_ms == pytest.approx(np.median(np.concatenate(walls)) / 1e6)
    in_calls = sum(4 * wall.size / wall.sum() * 1e9 for wall in walls)
    assert found.samples_per_s == pytest.approx(in_calls, rel=0.3)  # a loop around the calls, and no more
    assert found.peak_bytes > found.runtime_bytes > 0
    assert found.cpu_cores > 0
    assert found.noise.disturbed_share is not None
    assert 0 <= found.noise.disturbed_share <= 1


def _turns(copies: Sequence[Copy], duration_s: float) -> Together:
    """Copies on a single core, one after the other: ten slices of 2 ms in a turn, of two calls each, none of which
    waits."""
    turn, slice_ns = 20_000_000, 2_000_000
    slices = [
        [
            Slice(begun, begun + slice_ns, array("q", [slice_ns // 2] * 2), probe_ns=3000.0, waited_ns=0)
            for round_ in range(10)
            for begun in range((round_ * len(copies) + copy) * turn, (round_ * len(copies) + copy + 1) * turn, slice_ns)
        ]
        for copy in range(len(copies))
    ]
    return Together(slices, wall_ns=10 * len(copies) * turn, cpu_ns=10 * len(copies) * turn)


@pytest.mark.parametrize(("cores", "carried"), [(1, 4000), (4, 16_000)])
def test_copies_that_take_turns_on_a_core_carry_no_more_than_one(
    files: StepFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, carried: float
) -> None:
    """Between two turns each has the core to itself: such slices, added up, would be those of four cores. Where there
    are cores for all, it is somebody else who takes them, and the copies' own speed is what they would carry."""
    monkeypatch.setattr("enxuto.measure.throughput.run_together", _turns)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)))
    step = step_for(files, tiny_models.convnet(), batch_size=4, instances=4)
    found = measure_throughput(step, files, tmp_path)
    assert found.samples_per_s == pytest.approx(carried, rel=0.1)
    assert not found.disturbed


def test_a_p95_takes_two_hundred_calls(files: StepFiles, tmp_path: Path) -> None:
    found = measure_throughput(step_for(files, tiny_models.mlp()), files, tmp_path)
    assert found.calls >= 200
    assert found.p95_ms is not None
    assert found.p95_ms >= found.p50_ms


def test_large_batches_carry_more_of_a_model_whose_calls_are_mostly_overhead(files: StepFiles, tmp_path: Path) -> None:
    one, many = (
        measure_throughput(step_for(files, tiny_models.mlp(), batch_size=batch), files, tmp_path) for batch in (1, 64)
    )
    assert many.samples_per_s > 4 * one.samples_per_s


def test_a_fixed_batch_axis_counts_its_own_samples(files: StepFiles, tmp_path: Path) -> None:
    found = measure_throughput(step_for(files, tiny_models.fixed_convnet(batch=4), batch_size=1), files, tmp_path)
    with np.load(tmp_path / found.calls_file) as calls:
        assert found.samples_per_s == pytest.approx(4 * found.calls / calls["0"].sum() * 1e9, rel=0.3)


def test_inputs_come_from_the_samples(files: StepFiles, tmp_path: Path) -> None:
    """Token numbers drawn at random would have a length of one; those of the data have five."""
    rows = np.random.default_rng(0).integers(0, 20, (8, 5))
    step = step_for(files, tiny_models.tokens(), batch_size=4, samples=files.samples({"tokens": rows}))
    assert measure_throughput(step, files, tmp_path).calls > 0


def test_inputs_that_the_model_does_not_take_are_a_finding(files: StepFiles, tmp_path: Path) -> None:
    rows = np.full((8, 5), 10_000)  # beyond the vocabulary
    step = step_for(files, tiny_models.tokens(), instances=2, samples=files.samples({"tokens": rows}))
    with pytest.raises(BadInput) as refused:
        measure_throughput(step, files, tmp_path)
    assert refused.value.code == "model_fails_to_run"


def test_it_runs_in_the_sandbox(tmp_path: Path) -> None:
    store, path = FolderFiles(tmp_path / "files"), tmp_path / "model.onnx"
    digest = store.add(tiny_models.save(tiny_models.convnet(), path))
    step = MeasureThroughput(
        subject=Subject(model=digest), workload=Workload(), instances=2, duration_s=0.1, samples=None,
        preprocessing={}, load=0, seed=0,
    )  # fmt: skip
    outcome = StepRunner(store, scratch=tmp_path / "scratch")(step, stop=lambda: False)
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, Throughput)
    assert set(outcome.files) == {outcome.result.calls_file}
