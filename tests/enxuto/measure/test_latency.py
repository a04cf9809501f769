"""Models are timed side by side, and percentiles are given as far as the calls carry them."""

import gc
import itertools
import time
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
from enxuto.measure.latency import histogram, measure_latency, summarize_latency
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
    rounds: int = 6,
    most_rounds: int = 6,
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
        rounds=rounds,
        most_rounds=most_rounds,
    )
    return measure_latency(step, files, out)


def test_the_baseline_is_as_fast_as_itself_and_a_larger_model_is_slower(files: StepFiles, tmp_path: Path) -> None:
    found = measure(files, tmp_path / "out", [network(1024), network(1024), network(8192)])
    baseline, same, larger = found.timings
    assert (baseline.ratio, baseline.cpu_ratio) == (1.0, 1.0)
    assert len(found.counted) == 6
    assert found.noise.disturbed_share is not None
    assert found.probe_us > 0.1
    assert 0.5 < same.ratio < 2  # one load while other tests run; bench/aa.py looks closer
    assert larger.ratio < 0.6
    assert larger.p50_ms > baseline.p50_ms


def test_every_call_is_kept_in_nanoseconds(files: StepFiles, tmp_path: Path) -> None:
    found = measure(files, tmp_path / "out", [network(64), network(2048)])
    with np.load(tmp_path / "out" / found.calls_file) as calls:
        assert calls.files == ["0", "1"]
        for timing, name in zip(found.timings, calls.files, strict=True):
            assert calls[name].dtype == np.int64
            assert len(calls[name]) == timing.calls >= 3 * sum(found.counted) > 0
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
            latency._time_round(["a", "b", "c"], [1, 1, 1], lambda: 1.0, draw)
        return seen

    first = order(0)
    assert len({tuple(first[start : start + 3]) for start in range(0, 24, 3)}) > 2
    assert all(sorted(first[start : start + 3]) == ["a", "b", "c"] for start in range(0, 24, 3))
    assert order(0) == first != order(1)


def test_the_ratio_of_a_round_compares_neighbors_in_time() -> None:
    """A machine that slows to a third half-way leaves every ratio as it was."""
    rounds = [a_round(2.0 * slow, 1.0 * slow) for slow in (1, 1, 1, 3, 3)]
    timing = latency._timing(1, rounds, [True] * 5, np.array([1_000_000]))
    assert (timing.ratio, timing.cpu_ratio) == (2.0, 2.0)


def block(ms: float, cpu_ms: float | None = None) -> Block:
    return Block(array("q", [int(ms * 1e6)] * 3), int(3 * (ms if cpu_ms is None else cpu_ms) * 1e6))


def a_round(baseline_ms: float, other_ms: float, probe_ns: float = 100.0) -> latency._Round:
    return latency._Round([block(baseline_ms), block(other_ms)], [100.0, probe_ns], last=0)


def test_a_round_in_which_the_probe_was_slow_does_not_count() -> None:
    """Somebody else on the core slows the two models by different shares."""
    rounds = [a_round(2.0, 1.0)] * 5 + [a_round(2.3, 1.7, probe_ns=107.0)] * 4
    quiet = latency._quiet(rounds)
    assert quiet == [True] * 5 + [False] * 4
    counted = latency._counted(quiet, 6)
    timing = latency._timing(1, rounds, counted, np.concatenate([np.asarray(one.blocks[1].wall_ns) for one in rounds]))
    assert timing.ratio == 2.0
    assert len(timing.block_medians_ms) == 9, "the series shows all of them"


def test_a_slow_probe_spoils_the_round_that_it_ends_and_the_one_that_it_begins() -> None:
    def a_round(*probes: float, last: int) -> latency._Round:
        return latency._Round([block(1.0), block(1.0)], probes, last)

    rounds = [a_round(100.0, 100.0, last=0), a_round(100.0, 130.0, last=1), a_round(100.0, 100.0, last=0)]
    assert latency._quiet([*rounds, rounds[0]]) == [True, False, False, True]
    rounds[1] = a_round(100.0, 130.0, last=0)
    assert latency._quiet([*rounds, rounds[0]]) == [True, False, True, True]


def test_a_model_that_leaves_the_core_slower_behind_spoils_no_round() -> None:
    """Some instructions lower the clock, and threads may wait a while before they sleep."""
    rounds = [latency._Round([block(1.0), block(1.0)], [100.0, 150.0], last=at % 2) for at in range(10)]
    assert latency._quiet(rounds) == [True] * 10


def test_where_few_rounds_were_quiet_all_count() -> None:
    quiet = [True] * 3 + [False] * 7
    assert latency._counted(quiet, 6) == quiet
    assert latency._counted(quiet, 8) == [True] * 10
    assert latency._counted(quiet[2:7], 20) == [True] * 5, "a slow model had time for no more rounds"


def test_processor_time_is_that_of_all_counted_rounds_together() -> None:
    """A clock that ticks as seldom as a block ends shows nothing in most blocks, and all of it in some."""
    rounds = [
        latency._Round([block(2.0, cpu_ms=ticks), block(1.0, cpu_ms=1.0)], [100.0, 100.0], last=0)
        for ticks in (0.0, 0.0, 6.0, 0.0)
    ]
    timing = latency._timing(1, rounds, [True] * 4, np.array([1_000_000]))
    assert timing.cpu_ratio == pytest.approx(1.5)
    assert timing.cpu_ms == pytest.approx(1.0)


def rounds_of(step_changes: dict[str, object], probes: list[float], seconds: float = 0.0) -> int:
    """How many rounds are timed where the probes come out like this."""
    step = MeasureLatency(
        subjects=[Subject(model="0" * 64)], workload=Workload(), samples=None, preprocessing={}, load=0, seed=0
    ).model_copy(update=step_changes)
    waiting = iter(probes)

    def time_round() -> latency._Round:
        time.sleep(seconds)
        return latency._Round([block(1.0)], [next(waiting)], last=0)

    return len(latency._time_rounds(step, time_round))


def test_disturbed_rounds_are_made_up_for_but_not_without_end() -> None:
    wanted = {"rounds": 6, "most_rounds": 12}
    assert rounds_of(wanted, [100.0] * 12) == 6
    assert rounds_of(wanted, [100.0, 150.0, 150.0] + [100.0] * 9) == 9, "the round after a slow probe began with it"
    assert rounds_of(wanted, [100.0] * 2 + [150.0] * 10) == 12


def test_slow_models_get_fewer_rounds_but_never_fewer_than_five() -> None:
    wanted = {"rounds": 100, "most_rounds": 100, "budget_s": 0.2}
    assert 5 <= rounds_of(wanted, [100.0] * 100, seconds=0.03) < 10
    assert rounds_of(wanted, [100.0] * 100, seconds=0.1) == 5


def test_the_histogram_holds_every_call_once_and_the_slowest_in_its_last_bin() -> None:
    times = np.concatenate([np.linspace(1e6, 2e6, 990), np.full(10, 50e6)]).astype(np.int64)
    found = histogram(times)
    assert sum(found.counts) == 1000
    assert len(found.edges_ms) == len(found.counts) + 1
    assert found.edges_ms[0] == pytest.approx(1.0)
    assert found.edges_ms[-1] < 3.0
    assert found.counts[-1] >= 10
    assert found.edges_ms == sorted(set(found.edges_ms))


@pytest.mark.parametrize("times", [[5_000], [5_000] * 300, [0, 0, 0]])
def test_a_histogram_of_equal_times_has_edges_that_rise(times: list[int]) -> None:
    found = histogram(np.array(times, dtype=np.int64))
    assert sum(found.counts) == len(times)
    assert all(low < high for low, high in itertools.pairwise(found.edges_ms))


def test_nothing_is_collected_while_blocks_run(monkeypatch: pytest.MonkeyPatch, files: StepFiles, tmp_path) -> None:
    states: list[bool] = []

    def block(call: object, calls: int) -> Block:
        states.append(gc.isenabled())
        return time_block(lambda: None, 3)

    monkeypatch.setattr(latency, "time_block", block)
    measure(files, tmp_path / "out", [network(64)], rounds=3, most_rounds=3)
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
