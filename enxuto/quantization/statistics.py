"""What one pass over calibration samples leaves of a model's tensors, as a file that every INT8 method reads.

The file is one ``.npz`` without pickled objects: figures by tensor in arrays of equal length, those by channel end to
end in arrays of their own.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from enxuto.errors import BadInput
from enxuto.quantization.affine import Range
from enxuto.quantization.histogram import Histogram

_VERSION = 1


@dataclass(frozen=True)
class Channels:
    """Figures of each channel, float64, over all samples and positions."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray

    @property
    def peak(self) -> np.ndarray:
        """The largest magnitude."""
        largest: np.ndarray = np.maximum(np.abs(self.low), np.abs(self.high))
        return largest


@dataclass(frozen=True)
class TensorStatistics:
    """Of the finite values of one float32 tensor."""

    extremes: Range | None
    """The smallest and the largest value; None where none was finite."""
    not_finite: int
    """How many values were infinite or no number."""
    histogram: Histogram
    """Of all values, or of evenly spread ones where a batch held very many; extremes are exact either way."""
    channel_axis: int
    """1 next to convolutions, else -1. Of a tensor without axes: 0."""
    channels: Channels | None
    """None where they were not asked for, or where their number changed from batch to batch."""

    @property
    def range(self) -> Range | None:
        """From the smallest to the largest value; None for a tensor that took values which are not finite."""
        return None if self.not_finite else self.extremes


@dataclass(frozen=True)
class Statistics:
    tensors: Mapping[str, TensorStatistics]
    """By name. Left out: tensors that are not float32, and those that took no value."""
    samples: int
    random: bool
    """Whether the samples were drawn by chance, for want of data."""

    def write(self, path: Path) -> None:
        seen = list(self.tensors.values())
        channels = [one.channels for one in seen]
        lengths = [0 if each is None else len(each.mean) for each in channels]
        with path.open("wb") as file:
            np.savez(
                file,
                version=np.array(_VERSION),
                samples=np.array(self.samples),
                random=np.array(self.random),
                names=np.array(list(self.tensors), dtype=np.str_),
                low=np.array([one.extremes.low if one.extremes else np.nan for one in seen]),
                high=np.array([one.extremes.high if one.extremes else np.nan for one in seen]),
                not_finite=np.array([one.not_finite for one in seen], dtype=np.int64),
                width=np.array([one.histogram.width for one in seen]),
                counts=np.array([one.histogram.counts for one in seen]).reshape(-1, 2 * Histogram.bins),
                channel_axis=np.array([one.channel_axis for one in seen], dtype=np.int64),
                channel_count=np.array(lengths, dtype=np.int64),
                channel_low=_joined([each.low for each in channels if each]),
                channel_high=_joined([each.high for each in channels if each]),
                channel_mean=_joined([each.mean for each in channels if each]),
            )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises BadInput (``statistics_unreadable``): the file is no such statistics, or a part of them."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls._of(dict(stored))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BadInput(
                f"The statistics of the calibration cannot be read: {error}",
                code="statistics_unreadable",
                hint="Calibrate the model anew.",
            ) from error

    @classmethod
    def _of(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        if int(arrays["version"]) != _VERSION:
            raise ValueError(f"they have version {arrays['version']}, not {_VERSION}")
        names, per_channel = arrays["names"], arrays["channel_count"]
        tables = ("low", "high", "not_finite", "width", "counts", "channel_axis", "channel_count")
        if any(len(arrays[table]) != len(names) for table in tables) or arrays["counts"].shape[1] != 2 * Histogram.bins:
            raise ValueError("the figures do not go with the names")
        ends = np.cumsum(per_channel)
        columns = ("channel_low", "channel_high", "channel_mean")
        if np.any(per_channel < 0) or any(len(arrays[column]) != per_channel.sum() for column in columns):
            raise ValueError("the figures by channel do not go with the tensors")
        tensors = {
            str(name): TensorStatistics(
                extremes=Range(float(arrays["low"][i]), float(arrays["high"][i]))
                if np.isfinite(arrays["low"][i])
                else None,
                not_finite=int(arrays["not_finite"][i]),
                histogram=Histogram(float(arrays["width"][i]), arrays["counts"][i]),
                channel_axis=int(arrays["channel_axis"][i]),
                channels=Channels(*(arrays[column][ends[i] - per_channel[i] : ends[i]] for column in columns))
                if per_channel[i]
                else None,
            )
            for i, name in enumerate(names)
        }
        return cls(tensors, int(arrays["samples"]), bool(arrays["random"]))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *parts])
