"""Load runs time queries from when they were due to their answers, and end however much is asked of them."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.errors import BadInput
from enxuto.measure.load import run_load
from enxuto.scenario import Batching
from enxuto.serving.arrivals import poisson_ns
from enxuto.serving.traces import read_trace
from enxuto.steps import LoadRun, OneByOne, Poisson, RunLoad, Subject
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.tiny_samples import StepFiles


@pytest.fixture
def files(tmp_path: Path) -> StepFiles:
    return StepFiles(tmp_path)


def run(files: StepFiles, out: Path, model: onnx.ModelProto, **changes: Any) -> LoadRun:
    out.mkdir(exist_ok=True)
    step = RunLoad(
        subject=Subject(model=files.add_model(model)),
        workload=Workload(),
        arrivals=Poisson(rate_per_s=500),
        batching=Batching(max_batch=4, max_delay_ms=1.0),
        duration_s=1.0,
        samples=None,
        preprocessing={},
        load=0,
        seed=3,
    )
    return run_load(step.model_copy(update=changes), files, out)


def slow() -> onnx.ModelProto:
    """``x`` [batch, 1024] through a wide product: milliseconds a call."""
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        slow (float[batch, 1024] x) => (float[batch, 1024] y) {
            a = MatMul(x, weight)
            b = MatMul(a, weight)
            c = MatMul(b, weight)
            y = MatMul(c, weight)
        }
    """)
    weight = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32) / 32
    model.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    return model


def test_queries_come_when_they_were_drawn_and_all_are_answered(files: StepFiles, tmp_path: Path) -> None:
    found = run(files, tmp_path / "out", tiny_models.convnet(), percentile=90.0, limit_ms=1e-6)
    with np.load(tmp_path / "out" / found.latencies_file) as raw:
        assert np.array_equal(raw["arrival_ns"], poisson_ns(500, 1.0, 3))
        assert (raw["called_ns"] > raw["arrival_ns"]).all()
        assert (raw["answered_ns"] > raw["called_ns"]).all()
        latencies = raw["answered_ns"] - raw["arrival_ns"]
    assert found.unanswered == 0
    assert found.latency.queries == latencies.size == found.over_limit
    assert found.latency.p50_ms == pytest.approx(np.median(latencies) / 1e6)
    assert found.percentile_ms == found.latency.p90_ms == pytest.approx(np.percentile(latencies, 90) / 1e6)
    assert sum(batch.size * batch.count for batch in found.batches) == latencies.size
    assert max(batch.size for batch in found.batches) <= 4
    assert 0 < found.utilization < 1
    assert found.peak_bytes > 2**20


def test_what_the_sender_is_late_counts_as_latency(files: StepFiles, tmp_path: Path) -> None:
    """Far more queries than one thread can send: the last ones are answered soon after they were sent, and late."""
    found = run(files, tmp_path / "out", tiny_models.mlp(), arrivals=Poisson(rate_per_s=1e6), duration_s=0.05)
    assert found.sent_late_ms > 20
    assert found.latency.p50_ms > 10


def test_an_overloaded_run_ends_and_counts_what_was_not_answered(files: StepFiles, tmp_path: Path) -> None:
    begun = time.perf_counter()
    found = run(
        files,
        tmp_path / "out",
        slow(),
        arrivals=Poisson(rate_per_s=20_000),
        batching=Batching(max_batch=1),
        duration_s=1.0,
    )
    assert time.perf_counter() - begun < 30
    assert found.unanswered > 0
    assert found.latency.queries == poisson_ns(20_000, 1.0, 3).size
    assert found.latency.p99_ms is not None
    assert found.latency.p99_ms >= 1000  # the whole run at least
    with np.load(tmp_path / "out" / found.latencies_file) as raw:
        assert (raw["answered_ns"] < 0).sum() == found.unanswered


def test_instances_share_the_queries(files: StepFiles, tmp_path: Path) -> None:
    batching = Batching(max_batch=2, instances=3)
    found = run(files, tmp_path / "out", tiny_models.convnet(), batching=batching)
    assert found.unanswered == 0


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_axis_is_filled_up(files: StepFiles, tmp_path: Path, batch: int) -> None:
    found = run(files, tmp_path / "out", tiny_models.fixed_convnet(batch=batch), batching=Batching(max_batch=batch))
    assert found.unanswered == 0


def test_one_by_one_sends_the_next_query_once_the_last_was_answered(files: StepFiles, tmp_path: Path) -> None:
    arrivals = OneByOne(samples_per_query=3)
    found = run(files, tmp_path / "out", tiny_models.convnet(), arrivals=arrivals, duration_s=0.3)
    with np.load(tmp_path / "out" / found.latencies_file) as raw:
        assert (raw["arrival_ns"][1:] >= raw["answered_ns"][:-1]).all()
    assert [(batch.size, batch.count) for batch in found.batches] == [(3, found.latency.queries)]
    assert found.samples_per_s == pytest.approx(3 * found.queries_per_s)


def test_a_batch_that_the_model_cannot_take_is_told(files: StepFiles, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="fixed") as raised:
        run(files, tmp_path / "out", tiny_models.fixed_convnet(batch=2), batching=Batching(max_batch=8))
    assert raised.value.code == "batch_not_taken"


def test_a_model_that_fails_under_load_ends_the_run_with_its_reason(files: StepFiles, tmp_path: Path) -> None:
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        upright (float[batch, 4] x) => (float[batch, 2] y) {
            shape = Constant<value = int64[2] {2, 4}>()
            two = Reshape(x, shape)
            y = ReduceSum<keepdims = 1>(two)
        }
    """)
    with pytest.raises(BadInput) as raised:
        run(files, tmp_path / "out", model)
    assert raised.value.code == "model_fails_to_run"


def test_more_queries_than_can_be_kept_are_refused_before_anything_is_loaded(files: StepFiles, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        run(files, tmp_path / "out", tiny_models.mlp(), arrivals=Poisson(rate_per_s=1e7), duration_s=3600)
    assert raised.value.code == "load_too_large"


def test_quiet_moments_are_told_and_compared_with_what_was_simulated_of_the_same_queries(
    files: StepFiles, tmp_path: Path
) -> None:
    draft = tmp_path / "draft.npz"
    np.savez(draft, latency_ns=np.full(poisson_ns(500, 1.0, 3).size, 2_000_000))
    found = run(files, tmp_path / "out", tiny_models.convnet(), simulated=files.add(draft))
    assert found.quiet is not None
    assert 0 <= found.quiet.share <= 1
    assert (found.quiet.simulated_p95_ms is None) == (found.quiet.p95_ms is None)
    assert found.quiet.simulated_p95_ms in {None, 2.0}
    assert found.quiet.probe_us is not None
    with np.load(tmp_path / "out" / found.latencies_file) as raw:
        trace = read_trace(dict(raw), 1)
    assert trace.size.size > 0
    assert (trace.call > 0).all()
    assert set(trace.working) == {1}
    assert trace.late.size == trace.late_busy.size
