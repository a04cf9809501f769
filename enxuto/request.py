"""What can be asked for, wherever it is answered: here or on a server."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from enxuto.goal import Goal, Thresholds
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.recipe import Recipe
from enxuto.schema import Value
from enxuto.workload import Workload


class _Options(Value):
    preprocessing: Preprocessing = Field(default_factory=dict, max_length=64)
    """How stored samples become the model's inputs, by input name."""
    metric: Metric | None = None
    """What accuracy means. By default it follows from the labels: top-1 for integers, mean squared error for floats,
    agreement with the original where there are none."""
    workload: Workload = Field(default_factory=Workload)
    """The conditions that measurements hold for."""
    deadline_s: float | None = Field(None, gt=0, le=7 * 86400)
    """Seconds after which the best found so far is the answer."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Splits, orders and samples follow from it."""


class OptimizeOptions(_Options):
    """Make a model lean: by a goal, which searches, or by a recipe, which is applied as it is and judged."""

    goal: Goal | None = None
    """What to reach. A default goal (latency, at most 1 % lost) stands where neither goal nor recipe is given."""
    recipe: Recipe | None = None
    """Techniques to apply in this order, instead of searching."""

    @model_validator(mode="after")
    def _goal_or_recipe(self) -> Self:
        if self.goal and self.recipe:
            raise ValueError("give either a goal or a recipe, not both")
        return self


class CompareOptions(_Options):
    """Judge a model against another on the same samples and the same machine."""

    thresholds: Thresholds = Field(default_factory=Thresholds)
    """What must hold for the comparison to pass."""
