"""Steps that change a model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.preprocessing import Preprocessing
from enxuto.recipe import Recipe
from enxuto.schema import Digest, Value
from enxuto.steps.common import Samples
from enxuto.workload import Workload


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


class Applied(Value):
    file: str
    """The new model, among the step's files."""
    size_bytes: int
    notes: list[str]
