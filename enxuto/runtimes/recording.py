"""What a runtime tells of a model while it runs it: each of its own nodes, with its time in every call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never

import numpy as np

from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings

_BITS = {"bfloat16": 16, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2}
"""Of an element, where NumPy does not know the type."""


@dataclass(frozen=True)
class Tensor:
    """One that a node reads or writes."""

    name: str
    dtype: str
    """As NumPy calls it."""
    shape: tuple[int, ...]
    is_weight: bool = False
    """Whether it is the same in every call."""

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int | None:
        bits = _bits(self.dtype)
        return None if bits is None else -(-self.count * bits // 8)


@dataclass(frozen=True)
class RanNode:
    """One node of the runtime's own graph."""

    name: str
    op_type: str
    inputs: Sequence[Tensor | None]
    """None for one that is left out, or whose shape cannot be told."""
    outputs: Sequence[Tensor | None]
    complete: bool
    """Whether the shape of everything that it reads and writes can be told."""
    attributes: Mapping[str, object]
    sources: Sequence[str]
    """Names of the file's nodes or tensors that the runtime says it was made of."""
    precision: str | None
    """Where the runtime says what it computes in."""
    times_us: np.ndarray
    """Of each call, without nodes inside it; a single mean of all calls where the runtime tells no more; empty where
    it took too little to be told."""
    runs: float = 1.0
    """In a call: more in a loop."""


@dataclass(frozen=True)
class Recording:
    nodes: Sequence[RanNode]
    """In the order in which they run."""
    trace: str
    """What the runtime recorded of the last calls, as JSON."""
    most_recording_us: float
    """What recording adds to the time of each node, at most; 0 where nodes run beside each other, so that their sum
    says nothing."""


class Recorder(Protocol):
    """A model in memory whose calls are recorded."""

    @property
    def nodes(self) -> int:
        """That it runs in one call, if none is repeated; to be asked after a first call."""
        ...

    repeats: bool
    """Whether a loop may run nodes many times in one call."""

    def run(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Raises BadInput: the model does not run on these inputs (``model_fails_to_run``)."""
        ...

    def settle(self) -> None:
        """What was run so far was warming up."""
        ...

    def end(self, feeds: Mapping[str, np.ndarray]) -> Recording: ...


def load_recorder(path: Path, settings: RunSettings, threads: int, folder: Path) -> Recorder:
    """Load a model to be recorded; ``folder`` is for what the runtime writes.

    Raises:
        BadInput: this runtime cannot load it (``model_fails_to_load``).
    """
    threads = settings.threads or threads
    match settings:
        case OnnxRuntimeSettings():
            from enxuto.runtimes.onnxruntime_profile import OnnxRuntimeRecorder

            return OnnxRuntimeRecorder(path, threads, settings, folder)
        case OpenVinoSettings():
            from enxuto.runtimes.openvino_profile import OpenVinoRecorder

            return OpenVinoRecorder(path, threads, settings)
        case _:
            assert_never(settings)


def _bits(dtype: str) -> int | None:
    if dtype in _BITS:
        return _BITS[dtype]
    try:
        return np.dtype(dtype).itemsize * 8
    except TypeError:
        return 8 if dtype.startswith("float8") else None
