"""Samples that come twice: within a role, or in both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from enxuto.dataset.health.look import Look
from enxuto.dataset.health.words import examples, role_name, share_of
from enxuto.steps import DataFinding

_FEWEST_ELEMENTS = 16
"""Of a sample: smaller ones may well be alike by chance."""
_FEW, _FEW_SHARED = 0.01, 0.002
"""A smaller share changes no figure that anyone reads."""


def duplicates(role: str, look: Look) -> Iterator[DataFinding]:
    """Samples that repeat an earlier one of the same role."""
    units = len(look.hashes)
    if look.elements < _FEWEST_ELEMENTS or not units:
        return
    _, first = np.unique(look.hashes, return_index=True)
    again = np.setdiff1d(np.arange(units), first)
    if len(again) < max(2, _FEW * units):
        return
    yield DataFinding(
        code="duplicates",
        role=role_name(role),
        count=len(again),
        examples=_places(look, again),
        detail=f"{share_of(len(again), units)} {role} samples are exact copies of another one, so that they count "
        f"twice and the samples are worth {units - len(again):,}.",
        hint="Take the copies out, or draw the samples anew without replacement.",
    )


def shared(calibration: Look, evaluation: Look) -> Iterator[DataFinding]:
    """Samples that calibrate and judge."""
    if evaluation.elements < _FEWEST_ELEMENTS:
        return
    both = np.flatnonzero(np.isin(evaluation.hashes, calibration.hashes))
    if len(both) < max(1, _FEW_SHARED * len(evaluation.hashes)):
        return
    yield DataFinding(
        code="shared_samples",
        role="both",
        count=len(both),
        examples=_places(evaluation, both),
        detail=f"Among calibration samples there are also {share_of(len(both), len(evaluation.hashes))} evaluation "
        "samples: what is chosen on a sample looks better on it than it is.",
        hint="Take calibration samples from other data, such as the training set.",
    )


def _places(look: Look, units: np.ndarray) -> list[int]:
    group = look.samples.group
    return examples(look.places(units * group))
