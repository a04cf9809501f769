"""Steps that measure memory."""

from __future__ import annotations

from typing import Literal

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


class MemoryUse(Value):
    """Resident memory of one fresh process, and what it went to as far as the runtime tells."""

    peak_bytes: int
    """Highest resident set of the whole process."""
    runtime_bytes: int
    """Resident set just before the model was loaded: interpreter and libraries."""
    loaded_bytes: int
    """Resident set once the model was loaded, before its first call."""
    steady_bytes: int
    """Resident set after the last call."""
    weights_bytes: int | None = None
    """What the runtime keeps of weights, as it runs them: packed and converted ones included."""
    arena_bytes: int | None = None
    """What the runtime's arena holds after the last call: activations and scratch."""
    predicted_activation_bytes: int | None = None
    """Highest sum of the tensors alive at one time, by the shapes of the graph and the order of its nodes; null where
    some shape cannot be told."""
