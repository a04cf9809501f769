"""FP16 and BF16 weights: half the bytes on disk, cast to float32 at load."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.techniques.base import Technique


class HalfWeights(Technique):
    """Stores float32 weights in 16 bits. They are cast back when the model is loaded, so speed stays as it was."""

    max_drift: ClassVar[float] = 0.02

    kind: Literal["half_weights"] = "half_weights"
    dtype: Literal["float16", "bfloat16"] = Field(
        "float16", description="The 16-bit format that weights are stored in."
    )
