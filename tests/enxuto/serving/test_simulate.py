"""The simulation agrees with queueing theory, follows the batcher's policy, and is the same for the same seed."""

import numpy as np
import pytest

from enxuto.scenario import Batching
from enxuto.serving.arrivals import poisson_ns
from enxuto.serving.simulate import simulate
from enxuto.serving.times import QUANTILES, BatchTimes, fixed_times

CALL_NS = 1_000_000
ONE = Batching()


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_waits_for_calls_of_one_length_are_those_of_an_m_d_1_queue(load: float) -> None:
    found = simulate(poisson_ns(load * 1000, 200, 1), fixed_times([CALL_NS]), ONE, 0)
    mean_wait = found.latencies_ns.mean() / CALL_NS - 1
    assert mean_wait == pytest.approx(load / (2 * (1 - load)), rel=0.04)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_latencies_for_exponential_calls_are_those_of_an_m_m_1_queue(load: float) -> None:
    calls = -np.log1p(-(np.arange(100_000) + 0.5) / 100_000) * CALL_NS
    found = simulate(poisson_ns(load * 1000, 200, 1), fixed_times(calls), ONE, 0)
    assert found.latencies_ns.mean() / CALL_NS == pytest.approx(1 / (1 - load), rel=0.06)


def test_two_instances_wait_as_an_m_m_2_queue_does() -> None:
    calls = -np.log1p(-(np.arange(100_000) + 0.5) / 100_000) * CALL_NS
    load = 0.7
    found = simulate(poisson_ns(2 * load * 1000, 200, 1), fixed_times(calls), Batching(instances=2), 0)
    assert found.latencies_ns.mean() / CALL_NS == pytest.approx(1 / (1 - load**2), rel=0.06)


def test_a_batch_starts_when_it_is_full_or_its_first_query_has_waited() -> None:
    due = np.array([0, 1, 2, 3, 50, 51, 200], np.int64) * CALL_NS
    batching = Batching(max_batch=4, max_delay_ms=10)
    found = simulate(due, fixed_times([CALL_NS], largest=4), batching, 0)
    assert found.sizes.tolist() == [4, 2, 1]
    assert (found.latencies_ns / CALL_NS).round(6).tolist() == [4, 3, 2, 1, 11, 10, 11]


def test_queries_that_came_while_all_were_busy_start_together_and_at_once() -> None:
    due = np.array([0, 10, 20, 30], np.int64) * CALL_NS // 100
    found = simulate(due, fixed_times([CALL_NS], largest=8), Batching(max_batch=8), 0)
    assert found.sizes.tolist() == [1, 3]
    assert (found.latencies_ns / CALL_NS).round(6).tolist() == [1.0, 1.9, 1.8, 1.7]


def test_time_spent_waiting_for_an_instance_counts_as_delay() -> None:
    due = np.array([0, 10, 60], np.int64) * CALL_NS // 100
    found = simulate(due, fixed_times([CALL_NS], largest=8), Batching(max_batch=8, max_delay_ms=0.5), 0)
    # the first one waits half a millisecond and takes the second along; the third waits for the instance only
    assert found.sizes.tolist() == [2, 1]
    assert (found.latencies_ns / CALL_NS).round(6).tolist() == [1.5, 1.4, 1.9]


def test_a_call_after_a_pause_takes_the_time_of_such_a_call() -> None:
    rows = [[float(CALL_NS)] * QUANTILES] * 2
    slow = [[3.0 * CALL_NS] * QUANTILES] * 2
    none = [[0.0] * QUANTILES] * 2
    times = BatchTimes({1: [rows, slow]}, [none, none], none, [0.0, 0.0], [5.0 * CALL_NS], none[0], none[0], 0.0)
    due = np.array([0, 2, 100], np.int64) * CALL_NS
    assert (simulate(due, times, ONE, 0).latencies_ns / CALL_NS).tolist() == [3, 2, 3]


def test_fewer_busy_instances_take_the_times_of_fewer() -> None:
    alone, both = [[float(CALL_NS)] * QUANTILES] * 2, [[2.0 * CALL_NS] * QUANTILES] * 2
    none = [[0.0] * QUANTILES] * 2
    times = BatchTimes({1: [alone], 2: [both]}, [none], none, [0.0, 0.0], [], none[0], none[0], 0.0)
    due = np.array([0, 50, 1000], np.int64) * CALL_NS // 100
    found = simulate(due, times, Batching(instances=2), 0)
    assert (found.latencies_ns / CALL_NS).round(6).tolist() == [1, 2, 1]


def test_a_sender_that_is_late_delays_those_behind_it() -> None:
    rows, none = [[float(CALL_NS)] * QUANTILES] * 2, [[0.0] * QUANTILES] * 2
    late = [2.0 * CALL_NS] * QUANTILES
    times = BatchTimes({1: [rows]}, [none], none, [0.0, 0.0], [], late, late, 0.0)
    found = simulate(np.array([0, 1], np.int64) * CALL_NS, times, Batching(instances=1), 0)
    assert (found.latencies_ns / CALL_NS).round(6).tolist() == [3, 3]  # sent together, answered one after the other


def test_a_timer_that_ends_early_makes_no_instance_work_twice() -> None:
    """Senders do not sleep for the last 20 microseconds; a batch whose delay ends with the last call could then begin
    before its instance was free, which counted that one as a third of two."""
    calls, none = [[float(CALL_NS)] * QUANTILES] * 9, [[0.0] * QUANTILES] * 9
    early = [-20_000.0] * QUANTILES
    times = BatchTimes({1: [calls], 2: [calls]}, [none], none, [0.0] * 9, [], early, early, 0.0)
    batching = Batching(max_batch=8, max_delay_ms=0.1, instances=2)
    found = simulate(poisson_ns(4000, 10, 0), times, batching, 0)
    assert found.sizes.sum() == found.latencies_ns.size
    assert found.latencies_ns.min() >= 0.9 * CALL_NS


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    times = fixed_times(np.linspace(0.5, 1.5, 100) * CALL_NS, largest=4)
    due = poisson_ns(1500, 2, 3)
    first, again, other = (simulate(due, times, Batching(max_batch=4), seed) for seed in (7, 7, 8))
    assert np.array_equal(first.latencies_ns, again.latencies_ns)
    assert not np.array_equal(first.latencies_ns, other.latencies_ns)


def test_arrivals_follow_from_the_seed_and_a_longer_run_only_adds() -> None:
    short, long = poisson_ns(5000, 2, 1), poisson_ns(5000, 4, 1)
    assert np.array_equal(short, long[: short.size])
    assert not np.array_equal(short[:100], poisson_ns(5000, 2, 2)[:100])
    assert short[0] == 0
    assert (np.diff(long) >= 0).all()
    assert long.size == pytest.approx(20_000, rel=0.03)


def test_what_is_reported_holds_together() -> None:
    found = simulate(poisson_ns(2500, 4, 1), fixed_times([CALL_NS], largest=8), Batching(max_batch=8), 0)
    load = found.load(2500, 1)
    assert sum(batch.size * batch.count for batch in load.batches) == load.latency.queries == found.latencies_ns.size
    assert load.utilization == pytest.approx(1.0, abs=0.1)
    assert load.latency.p999_ms is not None
    few = simulate(poisson_ns(100, 1, 1), fixed_times([CALL_NS]), ONE, 0).load(100, 1).latency
    assert (few.p95_ms, few.p99_ms) == (None, None)
