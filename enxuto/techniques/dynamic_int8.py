"""Dynamic INT8: weights in 8 bits, activations quantized as they come."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.techniques.base import Technique


class DynamicInt8(Technique):
    """Weights of matrix products in 8 bits, activations quantized at run time; needs no calibration data."""

    max_drift: ClassVar[float] = 0.2

    kind: Literal["dynamic_int8"] = "dynamic_int8"
    per_channel: bool = Field(True, description="One scale for each output column of a weight instead of one in all.")
