"""Unstructured magnitude pruning: the smallest weights become zero."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.techniques.base import Technique


class MagnitudePruning(Technique):
    """Sets the weights of smallest magnitude to zero. Zeros alone save no time in a dense runtime."""

    max_drift: ClassVar[float] = 1.0

    kind: Literal["magnitude_pruning"] = "magnitude_pruning"
    ratio: float | None = Field(None, ge=0, le=0.99, description="Share of the weights that become zero.")
    threshold: float | None = Field(None, ge=0, description="Magnitude below which a weight becomes zero.")
    scope: Literal["layer", "global"] = Field("global", description="Whether the ratio holds in each layer or in all.")
