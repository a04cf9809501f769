"""What every value that travels is made of: immutable, closed, strict, finite."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a blob, in lower-case hex."""


class Value(BaseModel):
    """Base of everything that crosses a process or a network: unknown keys are refused, nothing is
    coerced (``"3"`` is no number) and NaN or infinity is no parameter."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True, defer_build=True
    )
