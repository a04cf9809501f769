"""Steps that measure memory."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.preprocessing import Preprocessing
from enxuto.schema import Value
from enxuto.steps.common import Samples, Subject
from enxuto.workload import Workload


class MeasureMemory(Value):
    """Peak resident memory of a fresh process that loads one model and runs it."""

    kind: Literal["measure_memory"] = "measure_memory"
    subject: Subject
    workload: Workload
    samples: Samples | None
    preprocessing: Preprocessing
    seed: int
    load: int = Field(0, ge=0)
    """Which of several fresh processes."""


class MemoryUse(Value):
    """Resident memory of one fresh process, and what it went to.

    ``runtime_bytes``, ``weights_bytes``, ``arena_bytes`` and ``rest_bytes`` add up to ``peak_bytes``.
    """

    peak_bytes: int
    """Highest resident set of the whole process."""
    runtime_bytes: int
    """Resident set just before the model was loaded: interpreter, libraries, and what the runtime makes for any model
    at all, since it has run one of a single node by then."""
    loaded_bytes: int
    """Resident set once the model was loaded, before its first call: with what loading it left behind."""
    steady_bytes: int
    """Resident set between calls, once more calls no longer add to it."""
    weights_bytes: int | None = None
    """What the runtime keeps of the model, as it runs it: its weights, packed and converted copies of them, and the
    graph. Growth of the heap in use by loading; null where the C library does not tell."""
    arena_bytes: int | None = None
    """What the runtime keeps from call to call for activations and scratch: growth by the calls of resident memory
    that is in use. What its arena reserved and never touched is in no memory, and does not count. Null where the C
    library does not tell."""
    predicted_activation_bytes: int | None = None
    """Highest sum of the tensors alive at one time, inputs and outputs included, by the shapes of the graph and the
    order of its nodes; null where some shape cannot be told. The arena holds more: it keeps its blocks for the next
    call, and rounds them up."""
    not_predicted: str | None = None
    """Why there is no prediction."""

    @property
    def left_by_loading_bytes(self) -> int | None:
        """What loading took and the C library could not give back: luck, for the most part."""
        return None if self.weights_bytes is None else self.loaded_bytes - self.runtime_bytes - self.weights_bytes

    @property
    def rest_bytes(self) -> int | None:
        """Of the peak: inputs and outputs, memory that is free but kept by the C library, what loading or the first
        calls needed for a while, and code that was first touched by this model."""
        if self.weights_bytes is None or self.arena_bytes is None:
            return None
        return self.peak_bytes - self.runtime_bytes - self.weights_bytes - self.arena_bytes
