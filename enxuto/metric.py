"""How good a model is at its task: which number, and which direction is better."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from enxuto.expression import MOST_CHARACTERS, ExpressionError, Name, names_in, parse
from enxuto.schema import Value

_LONGEST_TITLE = 60


class _Metric(Value):
    output: str | None = None
    """The model's output that is judged; the first one by default."""


class TopK(_Metric):
    """Share of labels among the k highest scores along the last axis."""

    higher_is_better: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    kind: Literal["top_k"] = "top_k"
    k: int = Field(1, ge=1, le=1000)
    """How many of the highest scores count."""

    @property
    def title(self) -> str:
        return f"top-{self.k} accuracy"


class MeanSquaredError(_Metric):
    """Mean squared difference between output and label."""

    higher_is_better: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    kind: Literal["mean_squared_error"] = "mean_squared_error"

    @property
    def title(self) -> str:
        return "mean squared error"


class Agreement(_Metric):
    """Likeness to the original model's own outputs; needs no labels.

    ``argmax``: share of positions where the highest score along the last axis is the same.
    ``cosine``: mean cosine of the angle between the two outputs, sample by sample.
    """

    higher_is_better: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    kind: Literal["agreement"] = "agreement"
    by: Literal["argmax", "cosine"] | None = None
    """Argmax for outputs that look like class scores (two axes, at least two columns), else cosine. Two axes are taken
    for an embedding, and so judged by cosine, where the output's name says so (``sentence_embedding``,
    ``pooler_output``, …), where the model scales vectors to length one, or where labels are one for two rows."""

    @property
    def title(self) -> str:
        return f"agreement with the original ({self.by or 'by outputs'})"


class Spearman(_Metric):
    """Spearman's rank correlation with the labels; equal values share the mean of their ranks.

    ``pairs``: labels are a half as many as rows, and rows 2i and 2i + 1 are the two of pair i: what is ranked is the
    cosine between the output's two rows. ``values``: as many labels as rows, and one number a row in the output.
    """

    higher_is_better: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    kind: Literal["spearman"] = "spearman"
    of: Literal["pairs", "values"] | None = None
    """By default it follows from the number of labels."""

    @property
    def title(self) -> str:
        pairs = " of the cosine between the rows of a pair" if self.of == "pairs" else ""
        return f"Spearman's rank correlation{pairs}"


class Perplexity(_Metric):
    """Exponential of the mean cross-entropy, in nats, of scores along the last axis against class numbers.

    The mean is over positions: a long sample weighs more than a short one. Negative labels, such as −100, are positions
    that do not count.
    """

    higher_is_better: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    kind: Literal["perplexity"] = "perplexity"

    @property
    def title(self) -> str:
        return "perplexity"


class PeakSignalToNoise(_Metric):
    """Peak signal-to-noise ratio in decibels: 10 · log10(peak² / mean squared error)."""

    higher_is_better: ClassVar[bool] = True
    kind: Literal["psnr"] = "psnr"
    peak: float | None = Field(None, gt=0)
    """From the lowest to the highest value that there can be: 255, 1, or 2 for −1 to 1. By default from the lowest to
    the highest that there is in what the output is held against."""
    against: Literal["labels", "original"] | None = None
    """By default the labels, and the original's outputs where there are none."""
    average: Literal["dataset", "sample"] = "dataset"
    """Whether errors are averaged before the logarithm, or the ratios of samples after it, as is usual for
    super-resolution."""
    ceiling_db: float = Field(100.0, gt=0, le=400)
    """No ratio counts as more than this: that of a model against its own outputs is infinite."""

    @property
    def needs_labels(self) -> bool:
        return self.against == "labels"

    @property
    def title(self) -> str:
        return "PSNR to the original" if self.against == "original" else "PSNR"


class BinaryCrossEntropy(_Metric):
    """Cross-entropy in nats between what the output says is true and what is, both from 0 to 1."""

    higher_is_better: ClassVar[bool] = False
    kind: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    of: Literal["probabilities", "logits"] = "probabilities"
    """What the output holds."""
    against: Literal["labels", "input"] = "labels"
    """The labels, or an input of the model, as autoencoders give it back."""
    input: str | None = None
    """Which input; the first one by default."""
    clip: float = Field(1e-7, gt=0, lt=0.5)
    """Probabilities are taken no nearer to 0 and 1 than this, so that one sure mistake does not make the sum infinite.
    Keras takes the same; PyTorch bounds the logarithm at −100 instead."""
    over: Literal["sum", "mean"] = "sum"
    """How the elements of a sample make one number; samples are averaged."""

    @property
    def needs_labels(self) -> bool:
        return self.against == "labels"

    @property
    def title(self) -> str:
        return "binary cross-entropy"


class MeanAveragePrecision(Value):
    """Mean over classes and thresholds of the area below the curve of precision over recall.

    Detections are matched to labelled boxes as COCO does (the best score first, each to the free box that it overlaps
    most), and the area is that of all points, as in VOC 2010 and later, where COCO takes 101. Labels have the shape
    [samples, boxes, 5 or 6]: x1, y1, x2, y2, (a score that is not looked at,) class; rows of class −1 fill up.
    """

    higher_is_better: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    kind: Literal["mean_average_precision"] = "mean_average_precision"
    boxes: str | None = None
    """Output of shape [samples, boxes, 4], or with more columns: a score and a class (5 or 6 columns), or one score a
    class. The axes may be swapped. The first output by default."""
    scores: str | None = None
    """Output of shape [samples, boxes] beside ``classes``, or [samples, boxes, classes]; by default further columns of
    ``boxes``."""
    classes: str | None = None
    """Output of shape [samples, boxes] with class numbers."""
    form: Literal["xyxy", "xywh", "cxcywh"] = "xyxy"
    """Two corners, a corner and a size, or a centre and a size; in the unit of the labels, which are two corners."""
    objectness: bool = False
    """Whether the column after the box is the chance that there is anything, which the scores of classes are
    multiplied with."""
    background: int | None = Field(None, ge=0)
    """The column among the scores of classes that stands for nothing. Class numbers are columns, this one included."""
    iou: list[Annotated[float, Field(gt=0, lt=1)]] = Field(default=[0.5], min_length=1, max_length=20)
    """How much a detection must overlap a box (intersection over union) to have found it. COCO's are 0.5 to 0.95 in
    steps of 0.05."""
    suppress: float | None = Field(None, gt=0, lt=1)
    """Overlap with a better detection of the same class from which one is dropped; null where the model has done so."""
    least_score: float = 0.0
    """Detections whose score is not above it are dropped: rows of zeros fill up what models give. Logits want it
    negative."""
    most: int = Field(300, ge=1, le=5000)
    """Detections of a sample that count at most, the best ones."""

    @property
    def title(self) -> str:
        low, high = min(self.iou), max(self.iou)
        return f"mean average precision at an overlap of {low:g}" + (f" to {high:g}" if high > low else "")


class Expression(_Metric):
    """The mean over samples of a number that an expression gives for each: parsed, never run as code.

    Names are ``output``, ``outputs.NAME``, ``inputs.NAME``, ``labels``, and ``original`` and ``original.NAME`` for what
    the original model answers; docs/metrics.md has the language. The first axis counts samples, and the result has no
    other: ``mean(argmax(output) == labels)``.
    """

    kind: Literal["expression"] = "expression"
    expression: str = Field(min_length=1, max_length=MOST_CHARACTERS)
    """What is computed for each sample."""
    higher_is_better: bool = True
    """Whether a larger number is a better model."""

    @field_validator("expression")
    @classmethod
    def _can_be_read(cls, text: str) -> str:
        try:
            parse(text)
        except ExpressionError as error:
            raise ValueError(str(error)) from error
        return text

    def names(self) -> list[Name]:
        """The arrays that it reads."""
        return list(names_in(parse(self.expression)))

    @property
    def needs_labels(self) -> bool:
        return any(name.space == "labels" for name in self.names())

    @property
    def title(self) -> str:
        text = " ".join(self.expression.split())
        return text if len(text) <= _LONGEST_TITLE else f"{text[: _LONGEST_TITLE - 1]}…"


Metric = Annotated[
    TopK
    | MeanSquaredError
    | Agreement
    | Spearman
    | Perplexity
    | PeakSignalToNoise
    | BinaryCrossEntropy
    | MeanAveragePrecision
    | Expression,
    Field(discriminator="kind"),
]
OneOutput = (
    TopK | MeanSquaredError | Agreement | Spearman | Perplexity | PeakSignalToNoise | BinaryCrossEntropy | Expression
)
"""Metrics that judge one output, which they may name."""


def named_output(metric: Metric | None) -> str | None:
    """The output that a metric judges, where it names one."""
    if metric is None:
        return None
    return metric.boxes if isinstance(metric, MeanAveragePrecision) else metric.output
