"""The conditions a number holds for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from enxuto.schema import Value
from enxuto.settings import RuntimeName

LARGEST_BATCH = 65536


class Workload(Value):
    """Batch size, threads and symbolic dimensions under which a model is run and measured."""

    batch_size: int = Field(1, ge=1, le=LARGEST_BATCH)
    """Samples in one call. A model with a fixed batch axis is taken as it is."""
    threads: int = Field(1, ge=1, le=1024)
    """Threads inside one operator."""
    dims: dict[str, Annotated[int, Field(ge=1, le=1 << 20)]] = Field(default_factory=dict, max_length=64)
    """Sizes of symbolic dimensions that the data does not settle, by name."""
    runtimes: list[RuntimeName] = Field(default=["onnxruntime", "openvino"], min_length=1, max_length=8)
    """Runtimes allowed. The first one is what the original is run by."""
    fixed_shapes: bool = True
    """Whether all calls have the same shapes, so that ``optimize`` may find a model fastest that is compiled for them
    alone; false where batches or lengths change from call to call."""
