"""Steps that judge what a model answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.schema import Digest, Value
from enxuto.steps.common import Samples, Subject
from enxuto.workload import Workload


class EvaluationFiles(Value):
    """What an evaluation leaves for those that are compared with it."""

    scores: Digest
    """``.npy`` of float64: one a sample, or a row of what the metric is made of for each sample or pair."""
    outputs: dict[str, Digest]
    """``.npy`` by the output's name, the first axis counts samples."""


class EvaluateModel(Value):
    """Run a model over samples and score each of them; against a reference, also how alike the two are."""

    kind: Literal["evaluate_model"] = "evaluate_model"
    subject: Subject
    samples: Samples
    preprocessing: Preprocessing
    metric: Metric
    workload: Workload
    reference: EvaluationFiles | None = None
    """What the baseline left when it was evaluated on the same samples."""
    confidence: float = 0.95
    """Of the one-sided bounds of the drop's interval."""
    relative: bool = True
    """Whether the drop is a share of the baseline's metric."""


class Drop(Value):
    """Loss of the metric against the baseline on the same samples; positive is worse."""

    value: float
    low: float
    """One-sided lower bound."""
    high: float
    """One-sided upper bound: what is compared with the limit."""
    confidence: float
    """Of each one-sided bound."""
    relative: bool
    method: Literal["paired_score", "paired_bootstrap"]
    """Tango's score interval for paired proportions, or the bootstrap over samples."""
    samples: int
    """Rows of the data: a pair, where pairs are judged, is two, here and below."""
    worse: int
    """Samples that score lower than with the baseline."""
    better: int
    """Samples that score higher than with the baseline."""
    p_value: float | None = None
    """Two-sided, of the exact McNemar test that as many samples got worse as better; null for scores that are not
    just right or wrong."""
    resamples: int | None = None
    """How often the bootstrap drew; null for other methods. Metrics that cost much, such as average precision over
    many detections, are drawn less often."""


class Fidelity(Value):
    """How alike a model's outputs are to the baseline's, over all outputs and samples."""

    sqnr_db: float | None
    """Signal-to-quantization-noise ratio in decibels; null where the outputs are the same to the bit."""
    cosine: float
    agreement: float | None
    """Share of equal argmax in the judged output; null for outputs without class scores."""
    nonfinite: int = 0
    """Output elements that are NaN or infinite where the baseline's are not; the other figures take them for zero."""


class Evaluation(Value):
    metric_value: float
    """Mean score over the samples, or what else the metric makes of them."""
    samples: int
    drop: Drop | None = None
    """Against the reference, where there was one."""
    fidelity: Fidelity | None = None
    scores_file: str
    outputs_files: dict[str, str]
    """File by the output's name; empty where a reference was given."""
    worst: list[int] = Field(default_factory=list)
    """Dataset indices of the samples that lost most, at most 20; of a pair, that of its first row."""
    worst_losses: list[float] = Field(default_factory=list)
    """What each of them lost, in the metric's own unit; of a rank correlation, what it adds to the loss."""
