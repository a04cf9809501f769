"""A dynamic batcher: gathers single requests into batches and runs a model on them, in copies that work side by side.

Needs Python and NumPy only, and stands alone: the file is handed out with serving plans.

    batcher = DynamicBatcher([model.run], max_batch=8, max_delay_ms=2.0)
    outputs = batcher.submit({"image": image}).result()  # image: an array with a first axis of one

The policy, which the queueing simulation of a plan follows too: requests are answered in the order they came. One free
instance at a time gathers the next batch, and runs it as soon as ``max_batch`` requests wait, or the first of them has
waited ``max_delay_ms`` since it came. While all instances are busy, requests pile up and nobody waits on purpose.
Requests whose arrays differ in shape or type never share a batch.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Run = Callable[[dict[str, Array]], Sequence[Array]]
"""Calls one copy of the model: arrays by input name to arrays in the order of its outputs."""


class Full(RuntimeError):
    """So many requests wait that this one is not taken; try again later, or elsewhere."""


class Closed(RuntimeError):
    """The batcher was closed before the request could be answered."""


@dataclass(frozen=True)
class Batch:
    """One call of the model, as it went."""

    positions: list[int]
    """Of its requests, counted from zero in the order they were taken."""
    called_ns: int
    """When the model was called, on ``time.perf_counter_ns``."""
    returned_ns: int
    answered_ns: int
    """When the last of its requests was answered."""


class _Request(NamedTuple):
    position: int
    feeds: Mapping[str, Array]
    key: tuple[object, ...]
    came_ns: int
    future: Future[list[Array]]


class DynamicBatcher:
    """Gathers requests into batches for copies of a model, each in a thread of its own."""

    def __init__(
        self,
        runs: Sequence[Run],
        max_batch: int,
        max_delay_ms: float = 0.0,
        *,
        limit: int = 10_000,
        fixed_batch: int | None = None,
        observe: Callable[[Batch], None] | None = None,
    ) -> None:
        """
        Args:
            runs: One callable an instance; each is only ever called from one thread.
            max_batch: Requests in one call, at most.
            max_delay_ms: How long the first request of a batch waits for others while an instance is free.
            limit: Requests that may wait; ``submit`` raises ``Full`` beyond.
            fixed_batch: Where the model takes batches of one size only: smaller ones are filled up with copies.
            observe: Is told of every batch once it is answered, in the thread that ran it.
        """
        if not runs or max_batch < 1 or not 0 <= max_delay_ms < float("inf") or limit < 1:
            raise ValueError("at least one instance, a batch and a limit of one or more, and a finite delay are needed")
        if fixed_batch is not None and max_batch > fixed_batch:
            raise ValueError(f"batches of {max_batch} do not fit into the model's {fixed_batch}")
        self.max_batch = max_batch
        self._delay_ns = round(max_delay_ms * 1e6)
        self._limit = limit
        self._fixed_batch = fixed_batch
        self._joins = max_batch > 1 or (fixed_batch or 1) > 1
        self._observe = observe
        self._waiting: deque[_Request] = deque()
        self._taken = 0
        self._closed = False
        self._gathering = threading.Lock()
        self._changed = threading.Condition(threading.Lock())
        self._threads = [threading.Thread(target=self._work, args=(run,), daemon=True) for run in runs]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Requests that are not yet in a batch."""
        return len(self._waiting)

    def submit(self, feeds: Mapping[str, Array]) -> Future[list[Array]]:
        """Take one sample, each of its arrays with a first axis of one; the future holds its outputs, likewise.

        Where nothing is ever gathered (batches of one), arrays may have any shape.

        Raises:
            Full: too many wait. Closed: the batcher was closed. ValueError: an array is no batch of one.
        """
        key: tuple[object, ...] = ()
        for name, array in feeds.items():
            if self._joins and (not array.ndim or len(array) != 1):
                raise ValueError(f"{name!r} must have a first axis of one, and has the shape {array.shape}")
            key += (name, array.shape, array.dtype)
        future: Future[list[Array]] = Future()
        with self._changed:
            if self._closed:
                raise Closed("the batcher is closed")
            if len(self._waiting) >= self._limit:
                raise Full(f"{self._limit} requests wait already")
            self._waiting.append(_Request(self._taken, feeds, key, time.perf_counter_ns(), future))
            self._taken += 1
            if len(self._waiting) in {1, self.max_batch}:  # nobody who waits looks at any other number
                self._changed.notify()
        return future

    def close(self, *, cancel: bool = False) -> None:
        """Take no more requests, answer those that wait or fail them with ``Closed``, and end the threads."""
        with self._changed:
            self._closed = True
            dropped = list(self._waiting) if cancel else []
            if cancel:
                self._waiting.clear()
            self._changed.notify_all()
        for request in dropped:
            if request.future.set_running_or_notify_cancel():
                request.future.set_exception(Closed("the batcher was closed before this request was answered"))
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> DynamicBatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(cancel=error is not None)

    def _work(self, run: Run) -> None:
        wait_precisely()
        while batch := self._next_batch():
            if alive := [request for request in batch if request.future.set_running_or_notify_cancel()]:
                self._answer(run, alive)

    def _next_batch(self) -> list[_Request]:
        """Empty once the batcher is closed and nothing waits."""
        with self._gathering, self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            while self._waiting and len(self._waiting) < self.max_batch and not self._closed:
                left_ns = self._waiting[0].came_ns + self._delay_ns - time.perf_counter_ns()
                if left_ns <= 0:
                    break
                self._changed.wait(left_ns / 1e9)
            return self._take_alike()

    def _take_alike(self) -> list[_Request]:
        """The first ones that wait, as far as they may share a batch."""
        waiting, batch = self._waiting, list[_Request]()
        while waiting and len(batch) < self.max_batch and (not batch or waiting[0].key == batch[0].key):
            batch.append(waiting.popleft())
        return batch

    def _answer(self, run: Run, batch: list[_Request]) -> None:
        called = returned = 0
        try:
            feeds = self._joined(batch)
            called = time.perf_counter_ns()
            outputs = run(feeds)
            returned = time.perf_counter_ns()
            answers = self._split(outputs, len(batch))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            for request in batch:
                request.future.set_exception(error)
            return
        for request, answer in zip(batch, answers, strict=True):
            request.future.set_result(answer)
        if self._observe:
            positions = [request.position for request in batch]
            self._observe(Batch(positions, called, returned, time.perf_counter_ns()))

    def _joined(self, batch: list[_Request]) -> dict[str, Array]:
        missing = (self._fixed_batch or len(batch)) - len(batch)
        parts = [request.feeds for request in batch] + [batch[-1].feeds] * missing
        if len(parts) == 1:
            return dict(parts[0])
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _split(self, outputs: Sequence[Array], count: int) -> list[list[Array]]:
        size = self._fixed_batch or count
        if size == 1:
            return [list(outputs)]
        for position, output in enumerate(outputs):
            if not output.ndim or len(output) != size:
                raise ValueError(f"output {position} of a batch of {size} has the shape {output.shape}: no batch axis")
        return [[output[row : row + 1] for output in outputs] for row in range(count)]


_SET_TIMER_SLACK = 29
"""See prctl(2)."""


def wait_precisely() -> None:
    """Let this thread's waits end when they should: Linux otherwise adds up to 50 microseconds, to save power."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_TIMER_SLACK, ctypes.c_ulong(1), 0, 0, 0)
