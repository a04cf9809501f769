"""A part of some samples, for what needs few."""

from __future__ import annotations

from enxuto.steps import Samples


def first(samples: Samples, wanted: int) -> Samples:
    """About so many of these rows, whole groups of them."""
    rows = max(wanted // samples.group, 1) * samples.group
    return samples.model_copy(update={"stop": min(samples.stop, samples.start + rows)})
