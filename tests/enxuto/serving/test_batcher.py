"""Single requests are gathered into batches, answered in order, and nobody waits in vain."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, wait

import numpy as np
import pytest

from enxuto.serving import Closed, DynamicBatcher, Full
from enxuto.serving.batcher import Array, Batch

Outputs = list[Array]


def sample(value: float, features: int = 3) -> dict[str, Array]:
    return {"x": np.full((1, features), value, np.float32)}


def double(feeds: dict[str, Array]) -> Outputs:
    return [2 * feeds["x"], feeds["x"].sum(axis=1)]


class Gate:
    """A model that waits to be let through, and remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.sizes: list[int] = []

    def __call__(self, feeds: dict[str, Array]) -> Outputs:
        self.sizes.append(len(feeds["x"]))
        self.entered.release()
        assert self.open.wait(30)
        return double(feeds)


def test_each_request_gets_its_own_rows_of_the_batch() -> None:
    with DynamicBatcher([double], max_batch=4, max_delay_ms=20) as batcher:
        futures = [batcher.submit(sample(value)) for value in range(10)]
        for value, future in enumerate(futures):
            doubled, total = future.result(30)
            assert doubled.tolist() == [[2 * value] * 3]
            assert total.tolist() == [3 * value]


def test_a_full_batch_does_not_wait_for_the_delay() -> None:
    seen: list[Batch] = []
    with DynamicBatcher([double], max_batch=4, max_delay_ms=60_000, observe=seen.append) as batcher:
        wait([batcher.submit(sample(value)) for value in range(8)], timeout=30)
    assert [batch.positions for batch in seen] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_the_first_request_waits_no_longer_than_the_delay() -> None:
    with DynamicBatcher([double], max_batch=100, max_delay_ms=50) as batcher:
        begun = time.perf_counter()
        futures = [batcher.submit(sample(value)) for value in range(3)]
        wait(futures, timeout=30)
        took = time.perf_counter() - begun
    assert 0.05 <= took < 10


def test_requests_pile_up_while_all_instances_are_busy() -> None:
    gate = Gate()
    with DynamicBatcher([gate], max_batch=8, max_delay_ms=0) as batcher:
        futures = [batcher.submit(sample(0))]
        assert gate.entered.acquire(timeout=30)
        futures += [batcher.submit(sample(value)) for value in range(5)]
        assert batcher.waiting == 5
        gate.open.set()
        wait(futures, timeout=30)
    assert gate.sizes == [1, 5]


def test_instances_work_at_the_same_time() -> None:
    gate = Gate()
    with DynamicBatcher([gate, gate], max_batch=1) as batcher:
        futures = [batcher.submit(sample(value)) for value in range(2)]
        assert gate.entered.acquire(timeout=30)
        assert gate.entered.acquire(timeout=30)  # the second one came in before the first one was let out
        gate.open.set()
        wait(futures, timeout=30)


def test_requests_of_different_shapes_never_share_a_batch() -> None:
    gate = Gate()
    with DynamicBatcher([gate], max_batch=8) as batcher:
        futures = [batcher.submit(sample(0))]
        assert gate.entered.acquire(timeout=30)
        futures += [batcher.submit(sample(1, features)) for features in (3, 3, 5, 3)]
        gate.open.set()
        assert [future.result(30)[0].shape[1] for future in futures] == [3, 3, 3, 5, 3]
    assert gate.sizes == [1, 2, 1, 1]


def test_an_error_reaches_every_request_of_its_batch_and_no_other() -> None:
    def picky(feeds: dict[str, Array]) -> Outputs:
        if (feeds["x"] < 0).any():
            raise ValueError("negative")
        return double(feeds)

    with DynamicBatcher([picky], max_batch=2, max_delay_ms=60_000) as batcher:
        futures = [batcher.submit(sample(value)) for value in (1, -1, 2, 3)]
        for future in futures[:2]:
            with pytest.raises(ValueError, match="negative"):
                future.result(30)
        assert [future.result(30)[1].tolist() for future in futures[2:]] == [[6], [9]]


@pytest.mark.parametrize("output", [np.float32(1), np.zeros(3)])
def test_an_output_without_a_row_for_each_request_is_an_error(output: Array) -> None:
    with DynamicBatcher([lambda feeds: [np.asarray(output)]], max_batch=2, max_delay_ms=60_000) as batcher:
        futures = [batcher.submit(sample(value)) for value in range(2)]
        with pytest.raises(ValueError, match="no batch axis"):
            futures[0].result(30)


def test_a_model_of_one_batch_size_is_always_given_that_many_rows() -> None:
    gate = Gate()
    gate.open.set()
    with DynamicBatcher([gate], max_batch=3, fixed_batch=4) as batcher:
        assert batcher.submit(sample(7)).result(30)[1].tolist() == [21]
    assert gate.sizes == [4]


def test_more_requests_than_may_wait_are_refused() -> None:
    gate = Gate()
    with DynamicBatcher([gate], max_batch=1, limit=2) as batcher:
        futures = [batcher.submit(sample(0))]
        assert gate.entered.acquire(timeout=30)
        futures += [batcher.submit(sample(value)) for value in range(2)]
        with pytest.raises(Full, match="2 requests"):
            batcher.submit(sample(3))
        gate.open.set()
        assert len(wait(futures, timeout=30).done) == 3


def test_closing_answers_what_waits_and_takes_no_more() -> None:
    gate = Gate()
    batcher = DynamicBatcher([gate], max_batch=4, max_delay_ms=60_000)
    future = batcher.submit(sample(4))
    gate.open.set()
    batcher.close()
    assert future.result(0)[1].tolist() == [12]
    with pytest.raises(Closed):
        batcher.submit(sample(5))


def test_closing_can_drop_what_waits() -> None:
    gate = Gate()
    batcher = DynamicBatcher([gate], max_batch=1)
    running, waiting = batcher.submit(sample(1)), batcher.submit(sample(2))
    assert gate.entered.acquire(timeout=30)
    threading.Timer(0.05, gate.open.set).start()
    batcher.close(cancel=True)
    assert running.result(0)[1].tolist() == [3]
    with pytest.raises(Closed):
        waiting.result(0)


def test_a_cancelled_request_is_left_out() -> None:
    gate = Gate()
    with DynamicBatcher([gate], max_batch=4) as batcher:
        futures = [batcher.submit(sample(0))]
        assert gate.entered.acquire(timeout=30)
        futures += [batcher.submit(sample(value)) for value in range(3)]
        assert futures[2].cancel()
        gate.open.set()
        assert futures[3].result(30)[1].tolist() == [6]
        with pytest.raises(CancelledError):
            futures[2].result(0)
    assert gate.sizes == [1, 2]


def test_no_request_is_lost_between_many_senders_and_instances() -> None:
    answers: dict[int, float] = {}

    def send(sender: int, submit: Callable[..., object]) -> None:
        for number in range(200):
            value = 1000 * sender + number
            answers[value] = float(batcher.submit(sample(value)).result(60)[1][0])

    with DynamicBatcher([double, double, double], max_batch=4, max_delay_ms=0.2) as batcher:
        threads = [threading.Thread(target=send, args=(sender, batcher.submit)) for sender in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert answers == {value: 3.0 * value for sender in range(6) for value in range(1000 * sender, 1000 * sender + 200)}


@pytest.mark.parametrize(
    ("max_batch", "delay", "limit", "fixed"),
    [(0, 0, 1, None), (1, -1, 1, None), (1, float("inf"), 1, None), (1, 0, 0, None), (8, 0, 1, 4)],
)
def test_absurd_settings_are_refused(max_batch: int, delay: float, limit: int, fixed: int | None) -> None:
    with pytest.raises(ValueError):
        DynamicBatcher([double], max_batch, delay, limit=limit, fixed_batch=fixed)


def test_an_array_that_is_no_batch_of_one_is_refused() -> None:
    with DynamicBatcher([double], max_batch=2) as batcher, pytest.raises(ValueError, match="first axis of one"):
        batcher.submit({"x": np.zeros((2, 3), np.float32)})
