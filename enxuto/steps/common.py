"""What several kinds of step are made of."""

from __future__ import annotations

from pydantic import Field

from enxuto.schema import Digest, Value
from enxuto.settings import OnnxRuntimeSettings, RunSettings


class Samples(Value):
    """A part of a dataset: positions ``start`` to ``stop`` of its samples in an order drawn by ``seed``."""

    arrays: dict[str, Digest]
    """Digest of each ``.npy`` by the name of the model's input."""
    labels: Digest | None
    count: int
    """Samples in the whole dataset."""
    start: int = Field(ge=0)
    stop: int
    seed: int
    group: int = Field(1, ge=1)
    """Rows that belong together and stay together in any order: 2 where labels are one for rows 2i and 2i + 1. Bounds
    and count are in rows, and multiples of it."""


class Subject(Value):
    """A model to be run, and how its runtime is set up."""

    model: Digest
    settings: RunSettings = Field(default_factory=OnnxRuntimeSettings)


class Estimate(Value):
    """A number with the interval that it rests on."""

    value: float
    low: float
    high: float
    confidence: float
    """Two-sided coverage of the interval."""


class HostNoise(Value):
    """What else went on while a step measured; null where it cannot be told."""

    load_1m: float | None
    steal_share: float | None
    """Share of time that the hypervisor took, 0 to 1."""
    pressure_share: float | None
    """Share of time in which some task waited for a processor (PSI)."""
    disturbed_share: float | None = None
    """Share of rounds in which a probe between the blocks ran slowly: somebody else was using the core. They are kept,
    but do not count."""
