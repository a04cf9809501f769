"""Unstructured magnitude pruning: the smallest weights become zero."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class MagnitudePruning(Technique):
    """Sets the weights of smallest magnitude to zero. Zeros alone save no time in a dense runtime.

    Weights of convolutions, matrix products and recurrent layers are pruned; biases and norms never are. Give either a
    ratio or a threshold.
    """

    max_drift: ClassVar[float] = 1.0

    kind: Literal["magnitude_pruning"] = "magnitude_pruning"
    ratio: float | None = Field(
        None, ge=0, le=0.99, description="Share of the weights that are zero afterwards, those that were zero included."
    )
    threshold: float | None = Field(None, ge=0, le=1e6, description="Magnitude below which a weight becomes zero.")
    scope: Literal["layer", "global"] = Field(
        "global", description="Whether the ratio holds in each weight tensor by itself or over all of them together."
    )
    embeddings: bool = Field(False, description="Whether tables that rows are gathered from are pruned as well.")

    @model_validator(mode="after")
    def _ratio_or_threshold(self) -> Self:
        if (self.ratio is None) == (self.threshold is None):
            raise ValueError("give exactly one of 'ratio' and 'threshold'")
        return self

    def requires(self, work: Work, context: Context) -> None:
        from enxuto.graph.normalize import normalized
        from enxuto.pruning.magnitude import prunable

        if not prunable(normalized(work.model), embeddings=self.embeddings):
            raise NotApplicable(
                "No convolution, matrix product or recurrent layer has floating-point weights of its own: there is "
                "nothing to prune.",
                code="no_prunable_weights",
                hint="Leave this technique out of the recipe.",
            )

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.normalize import normalized
        from enxuto.pruning.magnitude import prune

        model = normalized(work.model)
        done = prune(
            model, ratio=self.ratio, threshold=self.threshold, scope=self.scope, embeddings=self.embeddings
        )  # fmt: skip
        if done.zeros == done.zeros_before:
            raise NotApplicable(
                f"{done.zeros} of {done.weights} weights are zero already, and no other would become zero.",
                code="nothing_pruned",
                hint="Ask for a higher ratio or threshold.",
            )
        return work.with_model(
            model,
            f"{done.zeros:,} of {done.weights:,} weights are zero ({done.zeros / done.weights:.1%}). Zeros alone save "
            "no time in a dense runtime and no bytes in the file; compressed by deflate these weights shrink from "
            f"{done.deflated_before_bytes:,} to {done.deflated_bytes:,} bytes.",
        )
