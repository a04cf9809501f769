"""The leanest way to serve that holds the limits is chosen, and where none does, that is said with the nearest one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enxuto.scenario import ServingGoal
from enxuto.schema import Digest
from enxuto.serving.choose import plan_serving
from enxuto.settings import OnnxRuntimeSettings
from enxuto.steps import BatchCurve, LoadTraces, PlanServing, ServingChoice
from tests.support.load_traces import a_load
from tests.support.tiny_samples import StepFiles

SIZES = (1, 2, 4, 8)


def call_ns(size: int) -> int:
    """A millisecond a call and a fifth of one a sample: batching pays."""
    return 1_000_000 + 200_000 * size


class Measured:
    """Curves and handling as measuring steps leave them, of a machine that follows ``call_ns`` to the letter."""

    def __init__(self, folder: Path) -> None:
        self.files = StepFiles(folder)
        self._folder = folder

    def curves(self, instances: int) -> list[BatchCurve]:
        return [
            BatchCurve(
                threads=1,
                instances=instances,
                batch_size=size,
                calls=[self.save({str(copy): np.full(300, call_ns(size)) for copy in range(instances)})],
                peak_bytes=(50 + 10 * size) * instances * 10**6,
            )
            for size in SIZES
        ]

    def traces(self, instances: int) -> LoadTraces:
        """A batch that waited and one that did not in turn, of one sample and of eight."""
        return LoadTraces(threads=1, instances=instances, files=[self.save(a_load([1, 1, 8, 8] * 20, call_ns))])

    def plan(self, *, instances: tuple[int, ...] = (1, 2), cores: int | None = None, **goal: Any) -> ServingChoice:
        step = PlanServing(
            settings=OnnxRuntimeSettings(),
            curves=[curve for count in instances for curve in self.curves(count)],
            traces=[self.traces(count) for count in instances],
            goal=ServingGoal(**goal),
            cores=cores,
            seed=0,
        )
        return plan_serving(step, self.files, self._folder)

    def save(self, arrays: dict[str, np.ndarray]) -> Digest:
        path = self._folder / "draft.npz"
        np.savez(path, allow_pickle=False, **{name: array.astype(np.int64) for name, array in arrays.items()})
        return self.files.add(path)


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    return Measured(tmp_path)


def test_one_copy_that_carries_the_rate_is_preferred_to_two(measured: Measured) -> None:
    found = measured.plan(p95_ms=10.0, rate_per_s=400.0)
    assert found.batching is not None
    assert found.batching.instances == 1
    assert found.simulated is not None
    assert found.simulated.rate_per_s == 400
    assert found.simulated.latency.p95_ms is not None
    assert found.simulated.latency.p95_ms <= 10
    assert found.options[0].fits
    assert (found.options[0].threads, found.options[0].batching) == (found.threads, found.batching)
    assert "400 queries/s" in found.why


def test_a_rate_beyond_one_copy_takes_two(measured: Measured) -> None:
    beyond_one = 1.3 * 8 / call_ns(8) * 1e9
    found = measured.plan(p95_ms=20.0, rate_per_s=beyond_one)
    assert found.batching is not None
    assert found.batching.instances == 2
    assert found.batching.max_batch == 8
    assert not any(option.fits for option in found.options if option.batching.instances == 1)


def test_the_highest_rate_rises_with_the_limit_and_stays_below_what_batches_carry(measured: Measured) -> None:
    tight, loose = measured.plan(p95_ms=4.0, instances=(1,)), measured.plan(p95_ms=20.0, instances=(1,))
    assert tight.simulated is not None
    assert loose.simulated is not None
    most = 8 / call_ns(8) * 1e9
    assert 100 < tight.simulated.rate_per_s < loose.simulated.rate_per_s < most
    for choice, limit in ((tight, 4.0), (loose, 20.0)):
        assert choice.simulated is not None
        assert choice.simulated.latency.p95_ms is not None
        assert choice.simulated.latency.p95_ms <= limit * 1.001


def test_memory_rules_out_what_would_be_faster(measured: Measured) -> None:
    free, short = measured.plan(p95_ms=20.0), measured.plan(p95_ms=20.0, memory_mb=75.0)
    assert free.batching is not None
    assert free.batching.instances == 2
    assert short.batching is not None
    assert (short.batching.instances, short.batching.max_batch) == (1, 2)
    assert short.memory_bytes == 70_000_000


def test_no_batch_is_larger_than_was_allowed(measured: Measured) -> None:
    found = measured.plan(p95_ms=20.0, max_batch=2, instances=(1,))
    assert {option.batching.max_batch for option in found.options} == {1, 2}


def test_a_rate_that_nothing_carries_is_told_with_the_nearest_way(measured: Measured) -> None:
    found = measured.plan(p95_ms=20.0, rate_per_s=50_000.0)
    assert (found.batching, found.simulated) == (None, None)
    assert "50000 queries/s" in found.why
    assert "the nearest, 2 copies of one thread, batches of up to 8, " in found.why
    assert found.options
    assert not any(option.fits for option in found.options)


@pytest.mark.parametrize(
    ("goal", "said"),
    [({"p95_ms": 0.5}, "however low"), ({"p95_ms": 20.0, "memory_mb": 10.0}, "60 MB")],
)
def test_limits_that_nothing_meets_are_told(measured: Measured, goal: dict[str, float], said: str) -> None:
    found = measured.plan(**goal)
    assert found.batching is None
    assert said in found.why


def test_more_queries_than_python_can_hand_over_fit_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of a microsecond carries millions a second by its own times."""
    monkeypatch.setitem(globals(), "call_ns", lambda size: 1000 + size)
    found = Measured(tmp_path).plan(p95_ms=20.0, instances=(1,))
    assert found.simulated is not None
    assert found.simulated.rate_per_s < 100_000


def test_the_same_step_gives_the_same_choice(measured: Measured) -> None:
    assert measured.plan(p95_ms=10.0, instances=(1,)) == measured.plan(p95_ms=10.0, instances=(1,))


def test_the_highest_rate_leaves_head_room_and_says_so(measured: Measured) -> None:
    found = measured.plan(p95_ms=200.0, instances=(1,))
    assert found.simulated is not None
    assert 0.6 < found.simulated.utilization <= 0.72
    assert "head room" in found.why


def test_where_copies_take_all_cores_the_rate_leaves_some_for_whoever_sends(measured: Measured) -> None:
    crowded, roomy = (measured.plan(p95_ms=200.0, instances=(2,), cores=cores) for cores in (1, 4))
    assert crowded.simulated is not None
    assert roomy.simulated is not None
    assert crowded.simulated.rate_per_s < 0.7 * roomy.simulated.rate_per_s
    assert 2 * crowded.simulated.utilization <= 0.82


def test_a_rate_that_holds_without_head_room_is_planned_and_told(measured: Measured) -> None:
    found = measured.plan(p95_ms=200.0, instances=(1,), rate_per_s=0.9 * 8 / call_ns(8) * 1e9)
    assert found.simulated is not None
    assert "It has no head room" in found.why


def test_what_was_simulated_is_left_query_by_query(measured: Measured, tmp_path: Path) -> None:
    found = measured.plan(p95_ms=20.0, instances=(1,), check_s=2.0)
    assert found.simulated is not None
    assert found.simulated_file is not None
    with np.load(tmp_path / found.simulated_file) as raw:
        latencies = raw["latency_ns"]
    assert latencies.size == found.simulated.latency.queries
    assert np.percentile(latencies, 95) / 1e6 == pytest.approx(found.simulated.latency.p95_ms)


calls = st.lists(st.integers(1_000, 50_000_000), min_size=1, max_size=5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    curves=st.dictionaries(st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 3, 8])), calls, min_size=1, max_size=6),
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=60),
    early_ns=st.integers(-30_000, 30_000),
    quiet=st.booleans(),
    p95_ms=st.floats(0.01, 500),
    rate_per_s=st.none() | st.floats(1, 5000),
)
def test_whatever_was_measured_gives_a_plan_that_holds_together_or_a_reason(
    measured: Measured, tmp_path: Path, curves: dict[tuple[int, int], list[int]], sizes: list[int], early_ns: int,
    quiet: bool, p95_ms: float, rate_per_s: float | None,
) -> None:  # fmt: skip
    took = next(iter(curves.values()))
    trace = a_load(sizes, lambda size: took[size % len(took)], late_ns=early_ns, quiet=quiet)
    step = PlanServing(
        settings=OnnxRuntimeSettings(),
        curves=[
            BatchCurve(threads=1, instances=copies, batch_size=size, calls=[measured.save({"0": np.asarray(row)})],
                       peak_bytes=size)
            for (copies, size), row in curves.items()
        ],
        traces=[
            LoadTraces(threads=1, instances=copies, files=[measured.save(trace)])
            for copies in sorted({copies for copies, _ in curves})
        ],
        goal=ServingGoal(p95_ms=p95_ms, rate_per_s=rate_per_s, check_s=1.0),
        seed=0,
    )  # fmt: skip
    found = plan_serving(step, measured.files, tmp_path)
    assert found.why
    assert all(np.isfinite(option.highest_rate_per_s) for option in found.options)
    assert (found.simulated is None) == (found.batching is None)
    if found.simulated is not None:
        assert 0 < found.simulated.utilization <= 1
        assert sum(each.size * each.count for each in found.simulated.batches) == found.simulated.latency.queries
        assert found.simulated.latency.p50_ms > 0
