"""How good a model is at its task: which number, and which direction is better."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from enxuto.schema import Value


class _Metric(Value):
    higher_is_better: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True

    output: str | None = None
    """The model's output that is judged; the first one by default."""


class TopK(_Metric):
    """Share of labels among the k highest scores along the last axis."""

    kind: Literal["top_k"] = "top_k"
    k: int = Field(1, ge=1, le=1000)
    """How many of the highest scores count."""

    @property
    def title(self) -> str:
        return f"top-{self.k} accuracy"


class MeanSquaredError(_Metric):
    """Mean squared difference between output and label."""

    higher_is_better: ClassVar[bool] = False
    kind: Literal["mean_squared_error"] = "mean_squared_error"

    @property
    def title(self) -> str:
        return "mean squared error"


class Agreement(_Metric):
    """Likeness to the original model's own outputs; needs no labels.

    ``argmax``: share of positions where the highest score along the last axis is the same.
    ``cosine``: mean cosine of the angle between the two outputs, sample by sample.
    """

    needs_labels: ClassVar[bool] = False
    kind: Literal["agreement"] = "agreement"
    by: Literal["argmax", "cosine"] | None = None
    """Argmax for outputs that look like class scores (two axes, at least two columns), else cosine."""

    @property
    def title(self) -> str:
        return f"agreement with the original ({self.by or 'by outputs'})"


Metric = Annotated[TopK | MeanSquaredError | Agreement, Field(discriminator="kind")]
