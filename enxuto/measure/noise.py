"""What else went on on the machine while something was measured, as far as the kernel tells."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from enxuto.steps import HostNoise

_STEAL = 7
"""Position of the stolen time in the first line of ``/proc/stat``, see proc_stat(5)."""
_GUEST = 8
"""From here on the columns are already counted in others."""


@dataclass(frozen=True)
class NoiseWatch:
    """Counters as they stood when watching began. The box may hide any of them."""

    begun: float
    ticks: list[int] | None
    waited_us: int | None

    @classmethod
    def begin(cls) -> NoiseWatch:
        return cls(time.monotonic(), _ticks(), _waited_us())

    def end(self) -> HostNoise:
        return HostNoise(
            load_1m=_load_1m(),
            steal_share=self._steal_share(_ticks()),
            pressure_share=self._pressure_share(_waited_us()),
        )

    def _steal_share(self, now: list[int] | None) -> float | None:
        if self.ticks is None or now is None:
            return None
        spent = [after - before for before, after in zip(self.ticks, now, strict=True)]
        return max(0.0, min(1.0, spent[_STEAL] / max(sum(spent), 1)))

    def _pressure_share(self, now: int | None) -> float | None:
        if self.waited_us is None or now is None:
            return None
        return min(1.0, (now - self.waited_us) / max((time.monotonic() - self.begun) * 1e6, 1.0))


def _ticks() -> list[int] | None:
    text = _read(Path("/proc/stat"))
    ticks = [int(count) for count in text.split("\n", 1)[0].split()[1 : 1 + _GUEST]] if text else []
    return ticks if len(ticks) > _STEAL else None


def _waited_us() -> int | None:
    text = _read(Path("/proc/pressure/cpu"))
    return int(text.split("\n", 1)[0].rpartition("total=")[2]) if text else None


def _load_1m() -> float | None:
    text = _read(Path("/proc/loadavg"))
    return float(text.split()[0]) if text else None


def _read(path: Path) -> str | None:
    """None where the box or the kernel does not give it: then the number is null, which the report shows."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return None
