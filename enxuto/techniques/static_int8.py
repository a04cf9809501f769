"""Static INT8: weights and activations in 8 bits, ranges from calibration data."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.techniques.base import Technique


class StaticInt8(Technique):
    """Weights and activations in 8 bits; activation ranges come from calibration data."""

    max_drift: ClassVar[float] = 0.2
    needs_calibration: ClassVar[bool] = True

    kind: Literal["static_int8"] = "static_int8"
    calibration: Literal["minmax", "percentile"] = Field("minmax", description="How activation ranges are chosen.")
    percentile: float = Field(99.99, ge=90, le=100, description="Share of values, in percent, inside the range.")
