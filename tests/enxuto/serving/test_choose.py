"""The leanest way to serve that holds the limits is chosen, and where none does, that is said with the nearest one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enxuto.scenario import ServingGoal
from enxuto.schema import Digest
from enxuto.serving.choose import plan_serving
from enxuto.settings import OnnxRuntimeSettings
from enxuto.steps import BatchCurve, HandlingCurve, PlanServing, ServingChoice
from tests.support.tiny_samples import StepFiles

SIZES = (1, 2, 4, 8)
PAUSES = (100_000, 10_000_000)


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
                calls=[self._save({str(copy): np.full(300, call_ns(size)) for copy in range(instances)})],
                peak_bytes=(50 + 10 * size) * instances * 10**6,
            )
            for size in SIZES
        ]

    def handling(self, instances: int) -> HandlingCurve:
        rows = [(1, size, pause, 20_000, call_ns(size), 5_000) for size in (1, 8) for pause in PAUSES for _ in range(5)]
        seconds = [(1, size, 0, 20_000, call_ns(size), 5_000) for size in (1, 8) for _ in range(5)]
        tables = {
            "tight": [(size, call_ns(size)) for size in (1, 8)],
            "first": rows,
            "second": seconds,
            "late": [(0, 10_000), (1, 10_000)],
            "send": [(7, 70_000)],
        }
        file = self._save({name: np.asarray(table) for name, table in tables.items()})
        return HandlingCurve(threads=1, instances=instances, file=file)

    def plan(self, *, instances: tuple[int, ...] = (1, 2), **goal: Any) -> ServingChoice:
        step = PlanServing(
            settings=OnnxRuntimeSettings(),
            curves=[curve for count in instances for curve in self.curves(count)],
            handling=[self.handling(count) for count in instances],
            goal=ServingGoal(**goal),
            seed=0,
        )
        return plan_serving(step, self.files, self._folder)

    def _save(self, arrays: dict[str, np.ndarray]) -> Digest:
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
    assert "2 × 1 thread(s) with batches of up to 8" in found.why
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
