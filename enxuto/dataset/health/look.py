"""One pass over the samples of a role: what the findings are made from, a few numbers for each sample."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from enxuto.dataset.batches import SampleBatches
from enxuto.dataset.health.features import features, is_whole
from enxuto.signature import TensorSpec

_BATCH_ELEMENTS = 1 << 21
_MOST_COMPARED = 4000
"""Samples whose features are kept; samples come in an order drawn at random."""
_FEWEST_ELEMENTS = 16
"""Of a sample that all its elements are equal in by mistake, and not by chance."""
_BUCKETS = 1024
"""Whole numbers are counted by their remainder."""


@dataclass
class InputLook:
    """Of one input, sample by sample, in the order in which samples are read."""

    spec: TensorSpec
    lows: np.ndarray
    highs: np.ndarray
    """float32; of elements that are finite."""
    finite: np.ndarray
    constant: np.ndarray
    """bool; of an input of real numbers whose elements are all equal."""
    features: dict[str, np.ndarray]
    """Numbers that describe a sample, by what they are called; of the first few thousand samples."""
    whole: bool
    """Whether all elements are whole numbers."""
    counts: np.ndarray
    """How often whole numbers other than 0, which pads, occur [2, buckets], every second sample or group apart; empty
    for real numbers."""


@dataclass
class Look:
    """Of one role."""

    samples: SampleBatches
    hashes: np.ndarray
    """uint64, one a sample, or one for each group of rows that belong together."""
    elements: int
    """Of a sample, over all inputs."""
    inputs: dict[str, InputLook]

    @property
    def count(self) -> int:
        return self.samples.count

    def places(self, positions: np.ndarray) -> list[int]:
        """Of samples in the dataset, in order."""
        return sorted(int(self.samples.indices[position]) for position in positions)


def look_at(samples: SampleBatches, specs: list[TensorSpec]) -> Look:
    """Read every sample once."""
    collected = {spec.name: _Collected(spec, samples.group) for spec in specs}
    first = samples.take(np.arange(min(1, samples.count)))
    elements = sum(array[0].size for array in first.values() if len(array))
    size = max(1, _BATCH_ELEMENTS // max(1, elements)) // samples.group * samples.group or samples.group
    hashes: list[int] = []
    for batch in samples(size):
        hashes.extend(_hashed(batch, samples.group))
        for name, array in batch.items():
            collected[name].add(array)
    looks = {name: one.done() for name, one in collected.items()}
    return Look(samples, np.array(hashes, np.uint64), elements, looks)


def _hashed(batch: Mapping[str, np.ndarray], group: int) -> list[int]:
    count = len(next(iter(batch.values()))) if batch else 0
    found = []
    for start in range(0, count, group):
        digest = hashlib.blake2b(digest_size=8)
        for array in batch.values():
            digest.update(np.ascontiguousarray(array[start : start + group]).tobytes())
        found.append(int.from_bytes(digest.digest(), "little"))
    return found


class _Collected:
    """Adds up one input, batch by batch."""

    def __init__(self, spec: TensorSpec, group: int) -> None:
        self._spec = spec
        self._group = group
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in ("low", "high", "finite", "constant")}
        self._features: dict[str, list[np.ndarray]] = {}
        self._seen, self._whole = 0, True
        self._counts = np.zeros((2, _BUCKETS), np.int64)

    def add(self, array: np.ndarray) -> None:
        real = array.dtype.kind not in "biu"
        flat = array.reshape(len(array), -1)
        flat = flat.astype(np.float32) if real else flat
        finite = np.isfinite(flat) if real else np.ones(flat.shape, bool)
        self._parts["finite"].append(np.asarray(finite.all(axis=1)))
        low: np.ndarray = np.where(finite, flat, np.inf).min(axis=1, initial=np.inf).astype(np.float32)
        high: np.ndarray = np.where(finite, flat, -np.inf).max(axis=1, initial=-np.inf).astype(np.float32)
        self._parts["low"].append(low)
        self._parts["high"].append(high)
        looked_at = real and flat.shape[1] >= _FEWEST_ELEMENTS
        self._parts["constant"].append(np.equal(low, high) if looked_at else np.zeros(len(flat), bool))
        self._whole = self._whole and is_whole(flat)
        if not real:
            self._count(flat)
        self._sample(np.where(finite, flat, 0).reshape(array.shape))
        self._seen += len(array)

    def _count(self, flat: np.ndarray) -> None:
        half_of = (self._seen + np.arange(len(flat))) // self._group % 2
        for half in (0, 1):
            rows = flat[half_of == half].astype(np.int64)
            self._counts[half] += np.bincount(rows[rows != 0] % _BUCKETS, minlength=_BUCKETS)

    def _sample(self, array: np.ndarray) -> None:
        kept = array[: max(0, _MOST_COMPARED - self._seen)]
        if not len(kept) or not kept[0].size:
            return
        for name, values in features(self._spec, kept).items():
            self._features.setdefault(name, []).append(values)

    def done(self) -> InputLook:
        parts = {name: np.concatenate(arrays) if arrays else np.empty(0) for name, arrays in self._parts.items()}
        integers = self._counts.any()
        return InputLook(
            spec=self._spec,
            lows=parts["low"],
            highs=parts["high"],
            finite=parts["finite"].astype(bool),
            constant=parts["constant"].astype(bool),
            features={name: np.concatenate(arrays) for name, arrays in self._features.items()},
            whole=self._whole,
            counts=self._counts if integers else np.empty((2, 0), np.int64),
        )
