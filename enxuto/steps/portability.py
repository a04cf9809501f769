"""The step that tells whether a model answers alike on other kinds of processor."""

from __future__ import annotations

from typing import Literal

from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.processor import Processor
from enxuto.schema import Digest, Value
from enxuto.steps.common import Samples
from enxuto.workload import Workload


class AssessPortability(Value):
    """Work out what a quantized model answers on each kind of processor, by the arithmetic that is done there."""

    kind: Literal["assess_portability"] = "assess_portability"
    original: Digest
    model: Digest
    processors: list[Processor]
    samples: Samples | None
    preprocessing: Preprocessing
    workload: Workload
    seed: int
    instruction_sets: list[str]
    """Of this machine: what was measured here holds for its kind."""
    metric: Metric | None = None
    """Tells whether outputs are scores that a class is chosen by; what is chosen is compared only then."""


class ProcessorAccuracy(Value):
    processor: Processor
    method: Literal["measured", "same_arithmetic", "emulated", "bounded"]
    """Run on this machine; sums there are done as they are here; saturation worked out sum by sum; or told by the
    weights alone: no pair of them can saturate, or some can."""
    holds: bool | None
    """Whether accuracy there is that measured here; null where it cannot be told."""
    saturated_share: float | None = None
    """Of pairs of products that saturate in 16 bits, where that was looked at."""
    sqnr_db: float | None = None
    """Of the outputs there against the original's; null where it was not worked out, or where they are the same."""
    why: str
    """In a sentence."""


class Portability(Value):
    """What is said holds for ONNX Runtime; other runtimes add up in the same order or in another."""

    processors: list[ProcessorAccuracy]
    samples: int
    """That the outputs on another kind of processor were worked out for; 0 where that was not needed."""
    speed: str = "Speed on processors of another kind than this machine's was not measured."
