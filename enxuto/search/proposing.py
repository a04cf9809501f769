"""The recipes that a search under a goal tries, as far as its model and data have room for them."""

from __future__ import annotations

from enxuto.goal import Goal
from enxuto.recipe import Recipe
from enxuto.search.candidates import propose
from enxuto.search.layouts import laid_out
from enxuto.search.trial import Trials


def recipes_for(trials: Trials, goal: Goal) -> list[Recipe]:
    """In the order in which they are tried; laid out for the usual runtime."""
    proposed = propose(
        trials.model.inspection,
        goal,
        calibrated=trials.splits.calibration is not None,
        batch_size=trials.request.workload.batch_size,
    )
    return [laid_out(trials, recipe, trials.usual.runtime) for recipe in proposed]
