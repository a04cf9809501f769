"""Weight-only INT8 and INT4: small weights, computation in floating point."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.techniques.base import Technique


class WeightOnly(Technique):
    """Stores weights in 8 or 4 bits and computes in floating point."""

    max_drift: ClassVar[float] = 0.5

    kind: Literal["weight_only"] = "weight_only"
    bits: Literal[8, 4] = Field(8, description="Bits a weight.")
    block_size: int = Field(32, ge=16, le=256, description="Neighbouring weights that share a scale (4 bits).")
    symmetric: bool = Field(True, description="Whether zero stays exactly zero and no zero point is stored.")
