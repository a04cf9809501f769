"""How a tensor of one model differs from the same tensor of another, added up batch by batch; no values are kept."""

from __future__ import annotations

import math

import numpy as np

_KEPT = 1 << 14
"""Values of each batch that a percentile is taken from."""
_LARGEST_DB = 150.0
"""What float32 can tell apart."""
_TINY = 1e-30


class TensorError:
    """Sums over all batches, for each channel: the second axis of four and more, else the last."""

    def __init__(self) -> None:
        self._signal = self._noise = np.zeros(0)
        self._low = self._high = np.zeros(0)
        self._kept: list[np.ndarray] = []
        self._nonfinite = 0

    def add(self, original: np.ndarray, other: np.ndarray) -> None:
        first, second = _by_channel(original), _by_channel(other)
        sound = np.isfinite(first)
        self._nonfinite += int(np.count_nonzero(sound & ~np.isfinite(second)))
        left = np.where(sound, first, 0).astype(np.float64)
        right = np.where(sound & np.isfinite(second), second, 0).astype(np.float64)
        if len(self._signal) != len(left):
            self._signal = self._noise = np.zeros(len(left))
            self._low, self._high = np.full(len(left), np.inf), np.full(len(left), -np.inf)
        self._signal = self._signal + np.square(left).sum(axis=1)
        self._noise = self._noise + np.square(left - right).sum(axis=1)
        self._low = np.minimum(self._low, left.min(axis=1, initial=np.inf))
        self._high = np.maximum(self._high, left.max(axis=1, initial=-np.inf))
        flat = np.abs(left).ravel()
        self._kept.append(flat[:: max(flat.size // _KEPT, 1)])

    @property
    def sqnr_db(self) -> float:
        """Within ± 150."""
        signal, noise = float(self._signal.sum()), float(self._noise.sum())
        if self._nonfinite or signal <= 0:
            return -_LARGEST_DB if self._nonfinite or noise > 0 else _LARGEST_DB
        ratio = noise / signal
        return _LARGEST_DB if ratio < 10 ** (-_LARGEST_DB / 10) else max(-_LARGEST_DB, -10 * math.log10(ratio))

    @property
    def low(self) -> float:
        return float(self._low.min(initial=0.0))

    @property
    def high(self) -> float:
        return float(self._high.max(initial=0.0))

    @property
    def outlier_ratio(self) -> float:
        """Largest magnitude over the 99.9th percentile of magnitudes."""
        kept = np.concatenate(self._kept) if self._kept else np.zeros(1)
        usual = float(np.percentile(kept, 99.9)) if kept.size else 0.0
        return max(abs(self.low), abs(self.high)) / usual if usual > _TINY else 1.0

    @property
    def channel_spread(self) -> float | None:
        """Widest channel's range over the median channel's."""
        if len(self._low) < 2:
            return None
        widths = np.maximum(self._high, 0) - np.minimum(self._low, 0)
        middle = float(np.median(widths))
        return float(widths.max()) / middle if middle > _TINY else None


def _by_channel(array: np.ndarray) -> np.ndarray:
    """[channels, values]."""
    if array.ndim < 2:
        return array.reshape(1, -1)
    return np.moveaxis(array, 1 if array.ndim >= 4 else -1, 0).reshape(array.shape[1 if array.ndim >= 4 else -1], -1)
