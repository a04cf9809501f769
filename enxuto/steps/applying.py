"""Steps that change a model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.preprocessing import Preprocessing
from enxuto.recipe import Recipe
from enxuto.schema import Digest, Value
from enxuto.steps.common import Samples
from enxuto.workload import Workload


class CalibrateModel(Value):
    """Run a model over samples once, and keep of each tensor what every way to choose a range needs."""

    kind: Literal["calibrate_model"] = "calibrate_model"
    model: Digest
    samples: Samples | None
    """Null: inputs drawn by chance, within what the model declares."""
    preprocessing: Preprocessing
    workload: Workload
    seed: int


class Calibrated(Value):
    file: str
    """What was seen, among the step's files: extremes, a histogram and figures of each channel, by tensor."""
    tensors: int
    samples: int
    random: bool
    """Whether the samples were drawn by chance."""


class ApplyRecipe(Value):
    """Apply techniques in order, and check that the outcome loads and runs."""

    kind: Literal["apply_recipe"] = "apply_recipe"
    model: Digest
    recipe: Recipe
    calibration: Samples | None
    preprocessing: Preprocessing
    seed: int
    instruction_sets: list[str] | None = None
    """Of the processor that the model is meant for, which decides what integers look like; null: this machine's."""
    workload: Workload = Field(default_factory=Workload)
    """How the model will be run: what is tried while techniques are applied is tried that way."""
    statistics: Digest | None = None
    """What a calibration of this model found; without it, a technique that wants ranges takes them itself."""


class Applied(Value):
    file: str
    """The new model, among the step's files."""
    beside_files: list[str] = Field(default_factory=list)
    """Files that hold its weights, where they are too large for one; each is called by its digest."""
    size_bytes: int
    """Of all of them."""
    notes: list[str]
