"""What a model lost against the original on the same units, and which of them lost most."""

from __future__ import annotations

import numpy as np

from enxuto.errors import BadInput
from enxuto.judge.drop import paired_drop
from enxuto.judge.resampled import resampled_drop
from enxuto.judge.scoring import summarize
from enxuto.judge.summary import Mean
from enxuto.steps import Drop, EvaluateModel

_WORST = 20


class Compared:
    """Two evaluations by one metric: tables of units as scorers leave them, in the same order."""

    def __init__(
        self, step: EvaluateModel, before: np.ndarray, after: np.ndarray, labels: np.ndarray | None, rows_a_unit: int
    ) -> None:
        """Raises BadInput where the two are not of the same units."""
        if before.shape != after.shape:
            raise BadInput(
                f"the reference was evaluated on {len(before) * rows_a_unit} samples, this model on "
                f"{len(after) * rows_a_unit}",
                code="reference_does_not_match",
                hint="Compare evaluations of the same samples.",
            )
        self._step = step
        self._units = np.asarray(before), np.asarray(after)
        self._rows = rows_a_unit
        self._before, self._after = (summarize(step.metric, units, labels) for units in self._units)

    def drop(self) -> Drop:
        step, higher = self._step, self._step.metric.higher_is_better
        if isinstance(self._before, Mean):
            return paired_drop(
                *self._units,
                higher_is_better=higher,
                relative=step.relative,
                confidence=step.confidence,
                seed=step.samples.seed,
            )
        return resampled_drop(
            self._before,
            self._after,
            higher_is_better=higher,
            relative=step.relative,
            confidence=step.confidence,
            seed=step.samples.seed,
            rows_a_unit=self._rows,
        )

    def worst(self) -> list[tuple[int, float]]:
        """Positions of the first rows of the units that lost most, and what each lost, the greatest loss first."""
        before, after = self._before.each(), self._after.each()
        loss = before - after if self._step.metric.higher_is_better else after - before
        order = np.argsort(-loss, kind="stable")[:_WORST]
        return [(int(unit) * self._rows, float(loss[unit])) for unit in order if loss[unit] > 0]
