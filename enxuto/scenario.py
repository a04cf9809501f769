"""What a benchmark does to a model: how requests come, and what must hold for them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from enxuto.schema import Value
from enxuto.workload import LARGEST_BATCH


def _distinct(numbers: list[int]) -> list[int]:
    if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        raise ValueError(f"each is measured once, so name it once: {', '.join(map(str, twice))}")
    return numbers


BatchSizes = Annotated[
    list[Annotated[int, Field(ge=1, le=LARGEST_BATCH)]],
    Field(min_length=1, max_length=32, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
Counts = Annotated[
    list[Annotated[int, Field(ge=1, le=1024)]],
    Field(min_length=1, max_length=16, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
Duration = Annotated[float, Field(gt=0, le=3600)]


class Batching(Value):
    """How single requests are gathered into batches before the model runs."""

    max_batch: int = Field(1, ge=1, le=LARGEST_BATCH)
    """Samples in one call, at most."""
    max_delay_ms: float = Field(0.0, ge=0, le=60_000)
    """How long the first request of a batch waits for others while an instance is free."""
    instances: int = Field(1, ge=1, le=256)
    """Copies of the model that run at the same time."""


class Offline(Value):
    """All samples are there at once: throughput over batch sizes, threads and parallel instances."""

    kind: Literal["offline"] = "offline"
    batch_sizes: BatchSizes | None = None
    """Null: doubled until nothing is gained, then narrowed down to the knee."""
    threads: Counts | None = None
    """Null: those of the workload."""
    instances: Counts = [1]
    """Copies of the model that run at the same time, each with its own threads. Where several numbers of threads and of
    copies are combined, combinations beyond the machine's cores are left out."""


class SingleStream(Value):
    """One request at a time, the next one when the last was answered (MLPerf Inference, SingleStream)."""

    kind: Literal["single_stream"] = "single_stream"
    duration_s: Duration = 10.0
    """How long requests are sent."""


class MultiStream(Value):
    """One request of several samples at a time (MLPerf Inference, MultiStream)."""

    kind: Literal["multi_stream"] = "multi_stream"
    samples_per_query: int = Field(8, ge=1, le=LARGEST_BATCH)
    """Samples in each request."""
    duration_s: Duration = 10.0
    """How long requests are sent."""


class Server(Value):
    """Requests come by chance at a steady rate (MLPerf Inference, Server); finds the highest rate that holds."""

    kind: Literal["server"] = "server"
    latency_ms: float = Field(gt=0, le=1e7)
    """What the percentile of the latency, waiting included, must not exceed."""
    percentile: float = Field(99.0, ge=50, le=99.9)
    """Which percentile of the latency."""
    rate_per_s: float | None = Field(None, gt=0, le=1e7)
    """Requests a second; null: the highest rate that holds is searched."""
    batching: Batching = Field(default_factory=Batching)
    """How requests are gathered into batches."""
    duration_s: Duration = 10.0
    """Of each run."""


Scenario = Annotated[Offline | SingleStream | MultiStream | Server, Field(discriminator="kind")]


class ServingGoal(Value):
    """What a serving plan must carry."""

    p95_ms: float = Field(gt=0, le=1e7)
    """Highest 95th percentile of the latency of a request, waiting included, in milliseconds."""
    rate_per_s: float | None = Field(None, gt=0, le=1e7)
    """Requests a second to carry; null: the highest rate that the limits allow."""
    memory_mb: float | None = Field(None, gt=0, le=1e7)
    """Highest peak resident memory of the serving process, in megabytes (10^6 bytes)."""
    max_batch: int | None = Field(None, ge=1, le=LARGEST_BATCH)
    """Largest batch to consider; null: up to the knee."""
    check_s: Duration = 10.0
    """How long the plan is checked by a real load run; arrivals are the same as in the simulation."""
