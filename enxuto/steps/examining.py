"""The step that looks for what is wrong with calibration and evaluation data."""

from __future__ import annotations

from typing import Literal

from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.schema import Digest, Value
from enxuto.signature import TensorSpec
from enxuto.steps.common import Samples


class ExamineData(Value):
    """Look for duplicates, constant and out-of-range samples, and drift between the two roles."""

    kind: Literal["examine_data"] = "examine_data"
    inputs: list[TensorSpec]
    calibration: Samples | None
    evaluation: Samples | None
    """What chooses: what proves is not looked at."""
    preprocessing: Preprocessing
    metric: Metric | None
    scores: Digest | None = None
    """What the original's evaluation left on the evaluation samples."""


class DataFinding(Value):
    """One thing that is wrong with the data, or may be."""

    code: Literal[
        "no_data",
        "few_calibration_samples",
        "duplicates",
        "shared_samples",
        "constant_samples",
        "not_finite",
        "out_of_range",
        "drift",
        "one_label",
        "few_evaluation_samples",
    ]
    role: Literal["calibration", "evaluation", "both"]
    input: str | None = None
    count: int | None = None
    """Samples that it concerns."""
    examples: list[int] = []
    """Positions in the dataset of some of them, at most 10."""
    detail: str
    """In a sentence, with the figures."""
    hint: str
    """What to do about it."""


class MetricPoint(Value):
    """How surely the metric is known from so many samples."""

    samples: int
    value: float
    low: float
    high: float
    """Central 90 % of what that many samples, drawn from those there are, gave."""


class DataHealth(Value):
    findings: list[DataFinding]
    curve: list[MetricPoint]
    """The original's metric against the number of samples; empty without data."""
