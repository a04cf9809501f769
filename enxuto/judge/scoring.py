"""What a metric makes of the outputs, batch by batch: a number, or a row of them, for each of its units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput
from enxuto.expression import Name
from enxuto.judge.detections import detections
from enxuto.judge.fit import misfit, needed, shaped
from enxuto.judge.formula import Formula
from enxuto.judge.precision import AveragePrecision, unit
from enxuto.judge.ranks import RankCorrelation
from enxuto.judge.scores import cosine, score_samples, squared_error
from enxuto.judge.summary import Decibels, ExponentialOfMean, Mean, Summary, decibels
from enxuto.metric import (
    Agreement,
    BinaryCrossEntropy,
    Expression,
    MeanAveragePrecision,
    MeanSquaredError,
    Metric,
    PeakSignalToNoise,
    Perplexity,
    Spearman,
    TopK,
    named_output,
)

_BOX = 4


@dataclass(frozen=True)
class Seen:
    """A batch: what went into the model and what came out."""

    start: int
    """Position of the first row."""
    count: int
    """Rows."""
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    """Those whose first axis counts rows."""
    whole: Mapping[str, np.ndarray]
    """All of them, as the model gave them."""


@dataclass(frozen=True)
class Held:
    """What outputs are held against, for all rows; arrays are mapped or small."""

    labels: np.ndarray | None
    all_labels: np.ndarray | None
    """Those of other roles too."""
    originals: Mapping[str, np.ndarray] | None
    """The original's outputs by name; None where it is the original that is judged."""

    @classmethod
    def of(cls, samples: SampleBatches, originals: Mapping[str, np.ndarray] | None) -> Held:
        return cls(samples.labels(), samples.all_labels(), originals)


@dataclass
class Scorer:
    """Scores batches by one metric. ``judged`` is the output that it looks at first."""

    metric: Metric
    names: Sequence[str]
    """Of the model's outputs that are tensors."""
    inputs: Sequence[str]
    held: Held
    judged: str = field(init=False)
    rows: int = field(init=False)
    """Rows that make a unit."""

    def __post_init__(self) -> None:
        self.judged = _judged(self.metric, self.names)
        self.rows = 2 if isinstance(self.metric, Spearman) and self.metric.of == "pairs" else 1
        self._waiting: list[np.ndarray] = []
        self._formula = Formula(self.metric.expression) if isinstance(self.metric, Expression) else None
        self._peak: float | None = None

    def __call__(self, seen: Seen) -> np.ndarray:
        """Shape [units] or [units, numbers]: of the units that are complete with this batch.

        Raises:
            BadInput: outputs, labels and metric do not fit each other.
        """
        match self.metric:
            case Expression():
                return self._computed(seen)
            case MeanAveragePrecision():
                return self._detected(self.metric, seen)
        output, rows = self.output(seen, self.judged), slice(seen.start, seen.start + seen.count)
        match self.metric:
            case TopK() | MeanSquaredError() | Perplexity():
                return score_samples(self.metric, output, self._labels(rows))
            case Agreement():
                return score_samples(self.metric, output, self._original(self.judged, rows))
            case BinaryCrossEntropy():
                truth = self._labels(rows) if self.metric.against == "labels" else self._input(seen, self.metric.input)
                return score_samples(self.metric, output, truth)
            case PeakSignalToNoise():
                return self._noise(self.metric, output, rows)
            case Spearman():
                return self._ranked(self.metric, output, seen)
        raise AssertionError(f"no metric {self.metric.kind}")

    def output(self, seen: Seen, name: str) -> np.ndarray:
        if name not in seen.outputs:
            raise BadInput(
                f"the first axis of output {name!r} does not count samples",
                code="output_not_per_sample",
                hint="Name another output in the metric: one whose first axis is the batch.",
            )
        return seen.outputs[name]

    def _labels(self, rows: slice) -> np.ndarray:
        return needed(self.held.labels)[rows]

    def _original(self, name: str, rows: slice) -> np.ndarray | None:
        """None where it is the original that is judged."""
        if self.held.originals is None:
            return None
        if name not in self.held.originals:
            raise BadInput(
                f"the original left no output to compare {name!r} with, only {sorted(self.held.originals)}",
                code="no_original_output",
                hint="Such a metric wants a numeric output whose shape is the same for every sample; name one in it.",
            )
        return self.held.originals[name][rows]

    def _input(self, seen: Seen, name: str | None) -> np.ndarray:
        name = self.inputs[0] if name is None and self.inputs else name
        if name not in seen.inputs:
            raise misfit(f"the metric is against input {name!r}, and the model's inputs are {list(seen.inputs)}")
        return seen.inputs[str(name)]

    def _noise(self, metric: PeakSignalToNoise, output: np.ndarray, rows: slice) -> np.ndarray:
        """Squared errors as shares of the peak's square, or the ratio of each sample."""
        if metric.against == "original" or (metric.against is None and self.held.labels is None):
            truth = self._original(self.judged, rows)
            whole = None if self.held.originals is None else self.held.originals[self.judged]
        else:
            truth, whole = self._labels(rows), self.held.all_labels
        if truth is None or whole is None:
            errors = np.zeros(len(output))
        else:
            self._peak = self._peak or metric.peak or _range(whole)
            errors = squared_error(output, truth) / self._peak**2
        return errors if metric.average == "dataset" else decibels(errors, metric.ceiling_db)

    def _ranked(self, metric: Spearman, output: np.ndarray, seen: Seen) -> np.ndarray:
        labels = needed(self.held.labels)
        if metric.of != "pairs":
            rows = slice(seen.start, seen.start + seen.count)
            numbers = shaped(output, (seen.count,)).astype(np.float64)
            return np.column_stack([_sound(numbers), shaped(labels[rows], (seen.count,))])
        first = (seen.start - sum(map(len, self._waiting))) // 2
        rows_now = np.concatenate([*self._waiting, output.reshape(len(output), -1)])
        whole = len(rows_now) // 2
        self._waiting = [rows_now[2 * whole :]]
        if not whole:
            return np.empty((0, 2))
        likeness = cosine(rows_now[0 : 2 * whole : 2], rows_now[1 : 2 * whole : 2])
        return np.column_stack([likeness, shaped(labels[first : first + whole], (whole,))])

    def _detected(self, metric: MeanAveragePrecision, seen: Seen) -> np.ndarray:
        labels = self._labels(slice(seen.start, seen.start + seen.count)).astype(np.float64)
        if labels.ndim != 3 or labels.shape[2] not in (_BOX + 1, _BOX + 2):
            raise misfit(f"average precision wants labels [samples, boxes, 5 or 6], not {list(labels.shape)}")
        outputs = self._detector_outputs(metric, seen)
        found = detections(metric, outputs, self.judged)
        return np.stack([unit(one, truth, metric.iou, metric.most) for one, truth in zip(found, labels, strict=False)])

    def _detector_outputs(self, metric: MeanAveragePrecision, seen: Seen) -> dict[str, np.ndarray]:
        """Detectors that suppress inside the graph take one image and give boxes without an axis for it."""
        named = [name for name in (self.judged, metric.scores, metric.classes) if name]
        if missing := [name for name in named if name not in self.names]:
            raise _missing(missing[0], self.names)
        if seen.count == 1 and seen.whole[self.judged].ndim == 2:
            return {name: seen.whole[name][None] for name in named}
        return {name: self.output(seen, name) for name in named}

    def _computed(self, seen: Seen) -> np.ndarray:
        assert self._formula is not None, "an expression has its formula"  # noqa: S101
        return self._formula(lambda name: self._read(name, seen), seen.count)

    def _read(self, name: Name, seen: Seen) -> np.ndarray:
        """Raises LookupError in words."""
        rows = slice(seen.start, seen.start + seen.count)
        wanted = self.judged if name.name is None else name.name
        match name.space:
            case "labels":
                return self._labels(rows)
            case "inputs":
                return _of(seen.inputs, wanted, "input")
            case "original" if self.held.originals is not None:
                return _of(self.held.originals, wanted, "output that the original left")[rows]
            case _:
                return _of(seen.outputs, wanted, "output whose first axis counts samples")


def summarize(metric: Metric, units: np.ndarray, labels: np.ndarray | None) -> Summary:
    """The metric over all units."""
    match metric:
        case Perplexity():
            return ExponentialOfMean(units)
        case Spearman():
            return RankCorrelation(units)
        case PeakSignalToNoise(average="dataset"):
            return Decibels(units, metric.ceiling_db)
        case MeanAveragePrecision():
            return AveragePrecision(np.asarray(units), needed(labels).shape[1], len(metric.iou))
    return Mean(units)


def _judged(metric: Metric, names: Sequence[str]) -> str:
    named = named_output(metric)
    if named is None and names:
        return names[0]
    if named is None or named not in names:
        raise _missing(named or 0, names)
    return named


def _missing(name: str | int, names: Sequence[str]) -> BadInput:
    return BadInput(
        f"the metric judges output {name!r}, and the model's tensor outputs are {list(names)}",
        code="output_missing",
        hint="Name one of the model's tensor outputs in the metric; sequences and maps cannot be judged.",
    )


def _of(arrays: Mapping[str, np.ndarray], name: str, what: str) -> np.ndarray:
    if name not in arrays:
        raise LookupError(f"there is no {what} named {name!r}; there are {', '.join(arrays) or 'none'}")
    return arrays[name]


def _range(values: np.ndarray) -> float:
    """From the lowest to the highest; of a constant, which has none, 1."""
    part = max(1, (1 << 22) // max(int(np.prod(values.shape[1:])), 1))
    parts: list[np.ndarray] = [values[start : start + part] for start in range(0, len(values), part)]
    low, high = min(float(one.min()) for one in parts), max(float(one.max()) for one in parts)
    return high - low or 1.0


def _sound(numbers: np.ndarray) -> np.ndarray:
    """What is no number has the lowest rank."""
    found: np.ndarray = np.where(np.isfinite(numbers), numbers, -np.inf)
    return found
