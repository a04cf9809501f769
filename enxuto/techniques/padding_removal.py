"""Padding removal: a transformer computes tokens, and no padding."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enxuto.techniques.base import Context, Technique, Work


class PaddingRemoval(Technique):
    """Leaves out what a mask hides from every output: outputs stay the same up to rounding.

    How much is gained is a matter of the data: nothing where all samples are as long as the longest, and most where
    short samples are padded to a fixed length. A sample that is nothing but padding gives other numbers than before.
    """

    max_drift: ClassVar[float] = 1e-4
    lossless: ClassVar[bool] = True

    kind: Literal["padding_removal"] = "padding_removal"
    within_batch: bool = Field(
        True,
        description="Also lay tokens of samples of different lengths end to end; wants transformer_fusion in front.",
    )

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.padding.remove import without_padding

        model, notes = without_padding(work.model, context, within_batch=self.within_batch)
        return work.with_model(model, *notes)
