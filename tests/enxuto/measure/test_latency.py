"""Models are timed side by side, and percentiles are given as far as the calls carry them."""

import gc
from array import array
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.errors import BadInput
from enxuto.measure import latency
from enxuto.measure.blocks import Block, time_block
from enxuto.measure.latency import measure_latency, summarize_latency
from enxuto.steps import LatencyLoad, MeasureLatency, Samples, Subject, SummarizeLatency
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.tiny_samples import StepFiles


@pytest.fixture
def files(tmp_path: Path) -> StepFiles:
    return StepFiles(tmp_path)


def network(width: int) -> onnx.ModelProto:
    """``x`` [batch, 256] times a matrix of this width, and summed."""
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        network (float[batch, 256] x) => (float[batch, 1] y) {
            hidden = MatMul(x, weight)
            y = ReduceSum<keepdims = 1>(hidden, axis)
        }
    """)
    weight = np.random.default_rng(0).standard_normal((256, width)).astype(np.float32)
    model.graph.initializer.extend(
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(np.array([1]), "axis")]
    )
    return model


def measure(
    files: StepFiles,
    out: Path,
    models: list[onnx.ModelProto],
    *,
    samples: Samples | None = None,
    load: int = 0,
    block_ms: float = 5.0,
    blocks: int = 6,
    batch_size: int = 1,
) -> LatencyLoad:
    out.mkdir()
    step = MeasureLatency(
        subjects=[Subject(model=files.add_model(model)) for model in models],
        workload=Workload(batch_size=batch_size),
        samples=samples,
        preprocessing={},
        load=load,
        seed=0,
        block_ms=block_ms,
        blocks=blocks,
    )
    return measure_latency(step, files, out)


def test_the_baseline_is_as_fast_as_itself_and_a_larger_model_is_slower(files: StepFiles, tmp_path: Path) -> None:
    found = measure(files, tmp_path / "out", [network(1024), network(1024), network(8192)])
    baseline, same, larger = found.timings
    assert (baseline.ratio, baseline.cpu_ratio) == (1.0, 1.0)
    assert 0.5 < same.ratio < 2  # one load while other tests run; bench/aa.py looks closer
    assert larger.ratio < 0.6
    assert larger.p50_ms > baseline.p50_ms


def test_every_call_is_kept_in_nanoseconds(files: StepFiles, tmp_path: Path) -> None:
    found = measure(files, tmp_path / "out", [network(64), network(2048)])
    with np.load(tmp_path / "out" / found.calls_file) as calls:
        assert calls.files == ["0", "1"]
        for timing, name in zip(found.timings, calls.files, strict=True):
            assert calls[name].dtype == np.int64
            assert len(calls[name]) == timing.calls >= 3 * 6
            assert np.median(calls[name]) / 1e6 == pytest.approx(timing.p50_ms)
            assert len(timing.block_medians_ms) == 6


def test_the_order_is_drawn_anew_each_round_and_by_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(load: int) -> list[str]:
        seen: list[str] = []

        def block(call: object, calls: int) -> Block:
            seen.append(str(call))
            return time_block(lambda: None, 1)

        monkeypatch.setattr(latency, "time_block", block)
        draw = latency.random.Random(f"0 {load}")
        for _ in range(8):
            latency._time_round(["a", "b", "c"], [1, 1, 1], draw)
        return seen

    first = order(0)
    assert len({tuple(first[start : start + 3]) for start in range(0, 24, 3)}) > 2
    assert all(sorted(first[start : start + 3]) == ["a", "b", "c"] for start in range(0, 24, 3))
    assert order(0) == first != order(1)


def test_the_ratio_of_a_round_compares_neighbors_in_time() -> None:
    """A machine that slows to a third half-way leaves every ratio as it was."""

    def block(ms: float) -> Block:
        return Block(array("q", [int(ms * 1e6)] * 3), int(3 * ms * 1e6))

    rounds = [[block(2.0 * slow), block(1.0 * slow)] for slow in (1, 1, 1, 3, 3)]
    timing = latency._timing(1, rounds, np.array([1_000_000]))
    assert (timing.ratio, timing.cpu_ratio) == (2.0, 2.0)


def test_nothing_is_collected_while_blocks_run(monkeypatch: pytest.MonkeyPatch, files: StepFiles, tmp_path) -> None:
    states: list[bool] = []

    def block(call: object, calls: int) -> Block:
        states.append(gc.isenabled())
        return time_block(lambda: None, 3)

    monkeypatch.setattr(latency, "time_block", block)
    measure(files, tmp_path / "out", [network(64)], blocks=3)
    assert states == [False] * 3
    assert gc.isenabled()


def test_inputs_come_from_the_samples(files: StepFiles, tmp_path: Path) -> None:
    """Token numbers drawn at random could lie outside the vocabulary; those of the data do not."""
    rows = np.random.default_rng(0).integers(0, 20, (8, 5))
    samples = files.samples({"tokens": rows})
    found = measure(files, tmp_path / "out", [tiny_models.tokens()], samples=samples, batch_size=4)
    assert found.timings[0].calls > 0


def test_a_subject_that_is_no_model_is_refused(files: StepFiles, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"not a model")
    step = MeasureLatency(
        subjects=[Subject(model=files.add(tmp_path / "junk"))],
        workload=Workload(),
        samples=None,
        preprocessing={},
        load=0,
        seed=0,
    )
    with pytest.raises(BadInput) as refused:
        measure_latency(step, files, tmp_path)
    assert refused.value.code == "model_fails_to_load"


def pooled(files: StepFiles, folder: Path, *loads: list[np.ndarray]) -> list[tuple[int, bool, bool]]:
    digests = []
    for number, load in enumerate(loads):
        np.savez(folder / f"{number}.npz", allow_pickle=False, **{str(at): calls for at, calls in enumerate(load)})
        digests.append(files.add(folder / f"{number}.npz"))
    found = summarize_latency(SummarizeLatency(calls=digests), files, folder)
    return [(each.calls, each.p95_ms is not None, each.p99_ms is not None) for each in found.subjects]


def calls(count: int) -> np.ndarray:
    return np.arange(1, count + 1, dtype=np.int64) * 1_000_000


@pytest.mark.parametrize(
    ("each", "pair"), [(99, (198, False, False)), (100, (200, True, False)), (500, (1000, True, True))]
)
def test_percentiles_are_given_as_far_as_the_calls_carry_them(
    files: StepFiles, tmp_path: Path, each: int, pair: tuple[int, bool, bool]
) -> None:
    assert pooled(files, tmp_path, [calls(each)], [calls(each)]) == [pair]


def test_percentiles_are_those_of_all_loads_together(files: StepFiles, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"0": calls(500)})
    np.savez(tmp_path / "b.npz", **{"0": calls(1000)[500:]})
    step = SummarizeLatency(calls=[files.add(tmp_path / name) for name in ("a.npz", "b.npz")])
    (found,) = summarize_latency(step, files, tmp_path).subjects
    assert found.p50_ms == pytest.approx(500.5)
    assert found.p95_ms == pytest.approx(950, abs=1)
    assert found.p99_ms == pytest.approx(990, abs=1)


def test_loads_of_different_subjects_are_not_pooled(files: StepFiles, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        pooled(files, tmp_path, [calls(10)], [calls(10), calls(10)])
    assert refused.value.code == "calls_do_not_match"
