"""Steps that look into an upload."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.schema import Digest, Value


class InspectModel(Value):
    """Read what a model file says of itself; refuse what no runtime here can run."""

    kind: Literal["inspect_model"] = "inspect_model"
    model: Digest
    name: str
    """As uploaded: its extension must fit what the file is."""
    weights: list[Digest] = Field(default_factory=list)
    """Files beside it that it may read weights from, and calls by these digests."""


class FindWeights(Value):
    """Read which other files a model's weights lie in."""

    kind: Literal["find_weights"] = "find_weights"
    model: Digest
    name: str


class WeightFiles(Value):
    paths: list[str]
    """As the model names them, relative to where it lies."""


class GatherModel(Value):
    """Let a model call the files of its weights by their digests, so that its own digest says what it is."""

    kind: Literal["gather_model"] = "gather_model"
    model: Digest
    weights: dict[str, Digest]
    """By the path that the model calls each by now."""


class Gathered(Value):
    file: str


class InspectDataset(Value):
    """Check a dataset and transcode it into one ``.npy`` an array."""

    kind: Literal["inspect_dataset"] = "inspect_dataset"
    dataset: Digest
    name: str
