"""Steps that look into an upload."""

from __future__ import annotations

from typing import Literal

from enxuto.schema import Digest, Value


class InspectModel(Value):
    """Read what a model file says of itself; refuse what no runtime here can run."""

    kind: Literal["inspect_model"] = "inspect_model"
    model: Digest
    name: str
    """As uploaded: its extension must fit what the file is."""


class InspectDataset(Value):
    """Check a dataset and transcode it into one ``.npy`` an array."""

    kind: Literal["inspect_dataset"] = "inspect_dataset"
    dataset: Digest
    name: str
