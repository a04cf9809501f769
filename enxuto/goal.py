"""What a user wants: the objective, and the constraints it stands under."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from enxuto.schema import Value


class MaxDrop(Value):
    """How much of the metric may be lost, and how surely.

    A drop is claimed to be within ``value`` when the one-sided upper bound of its interval at ``confidence`` is;
    a confidence of 0.5 is the point estimate, what other tools use.
    """

    value: float = Field(0.01, ge=0, le=1)
    """The largest loss: a share of the baseline's metric when relative, else in the metric's own unit."""
    relative: bool = True
    """Whether ``value`` is a share of the baseline's metric."""
    confidence: float = Field(0.95, ge=0.5, le=0.999)
    """How surely the loss stays below ``value``."""


class Goal(Value):
    """One objective under constraints."""

    minimize: Literal["latency", "size", "memory"] | None = None
    """What to make small. Latency where neither this nor ``maximize`` is given."""
    maximize: Literal["throughput"] | None = None
    """What to make large, instead of ``minimize``: samples a second at the workload's batch size."""
    max_drop: MaxDrop | None = Field(default_factory=MaxDrop)
    """How much of the metric may be lost; null for no limit."""
    p95_ms: float | None = Field(None, gt=0, le=1e7)
    """Highest 95th percentile of the latency of one call, in milliseconds."""
    size_mb: float | None = Field(None, gt=0, le=1e7)
    """Largest model file, in megabytes (10^6 bytes)."""
    memory_mb: float | None = Field(None, gt=0, le=1e7)
    """Highest peak resident memory of a fresh process that runs the model, in megabytes (10^6 bytes)."""

    @model_validator(mode="before")
    @classmethod
    def _default_objective(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("minimize") is None and data.get("maximize") is None:
            return {**data, "minimize": "latency"}
        return data

    @model_validator(mode="after")
    def _one_objective(self) -> Self:
        if self.minimize and self.maximize:
            raise ValueError("give either minimize or maximize, not both")
        return self

    @property
    def objective(self) -> Literal["latency", "size", "memory", "throughput"]:
        return self.minimize or self.maximize or "latency"


class Thresholds(Value):
    """What a comparison must show to pass; what is not given is not asked."""

    max_drop: MaxDrop | None = None
    """How much of the metric ``model`` may lose against ``against``."""
    min_speedup: float | None = Field(None, gt=0, le=1e6)
    """Lowest speedup: the lower end of its interval must reach this."""
    max_size_ratio: float | None = Field(None, gt=0, le=1e6)
    """Largest file size of ``model`` over that of ``against``."""
    max_memory_ratio: float | None = Field(None, gt=0, le=1e6)
    """Largest peak resident memory of ``model`` over that of ``against``."""
