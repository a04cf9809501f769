"""How stored samples become a model's input, declared so that a thousand images need not travel as floats."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from enxuto.schema import Value

LAYOUT_PATTERN = r"^[A-Z]{2,8}$"
Layout = Annotated[str, StringConstraints(pattern=LAYOUT_PATTERN)]
_Number = Annotated[float, Field(ge=-1e12, le=1e12)]
"""Beyond, float32 soon overflows."""


class InputPreprocessing(Value):
    """``transpose((x · scale − mean) / std)`` in float32, for one input."""

    scale: _Number = 1.0
    """Factor applied first, not 0; 1/255 for images stored as bytes."""
    mean: list[_Number] = Field(default=[0.0], min_length=1, max_length=4096)
    """Subtracted after scaling: one number, or one a channel."""
    std: list[Annotated[float, Field(ge=1e-12, le=1e12)]] = Field(default=[1.0], min_length=1, max_length=4096)
    """Divided by after the mean is taken off: one number, or one a channel."""
    from_: Layout | None = Field(None, alias="from")
    """Layout as stored, such as NHWC. The axis called C holds the channels; without a layout it is the last one."""
    to: Layout | None = None
    """Layout that the model wants, a permutation of ``from``."""

    @field_validator("scale")
    @classmethod
    def _keeps_samples_apart(cls, scale: float) -> float:
        if scale == 0:
            raise ValueError("a scale of 0 makes all samples alike")
        return scale

    @model_validator(mode="after")
    def _layouts_match(self) -> Self:
        if (self.from_ is None) != (self.to is None):
            raise ValueError("give both layouts, 'from' and 'to', or neither")
        if self.from_ and self.to and sorted(self.from_) != sorted(self.to):
            raise ValueError(f"'to' ({self.to}) must be a permutation of 'from' ({self.from_})")
        if self.from_ and len(set(self.from_)) != len(self.from_):
            raise ValueError(f"'from' ({self.from_}) names an axis twice")
        if (self.from_ and self.from_[0] != "N") or (self.to and self.to[0] != "N"):
            raise ValueError("samples are counted along N, which must come first")
        return self


Preprocessing = dict[str, InputPreprocessing]
"""By name of the model's input; inputs not named are fed as stored."""
