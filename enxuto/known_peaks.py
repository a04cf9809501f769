"""What machines can do at most, remembered between runs of this user's: measured once for a machine and its threads."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from enxuto.steps import Peaks

_ADAPTER: TypeAdapter[dict[str, Peaks]] = TypeAdapter(dict[str, Peaks])


class KnownPeaks:
    """One JSON file: peaks by ``fingerprint:threads``. A file that cannot be read counts as empty."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _cache_folder() / "peaks.json"

    def get(self, fingerprint: str, threads: int) -> Peaks | None:
        peaks = self._read().get(f"{fingerprint}:{threads}")
        return peaks if peaks and peaks.threads == threads else None

    def put(self, fingerprint: str, peaks: Peaks) -> None:
        """Replaced as a whole: a reader never sees half of it. Where it cannot be written, the next run measures."""
        known = {**self._read(), f"{fingerprint}:{peaks.threads}": peaks}
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, partial = tempfile.mkstemp(dir=self._path.parent, prefix=".peaks-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_ADAPTER.dump_json(known, indent=1))
                Path(partial).replace(self._path)
            finally:
                Path(partial).unlink(missing_ok=True)

    def _read(self) -> dict[str, Peaks]:
        try:
            return _ADAPTER.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}


def _cache_folder() -> Path:
    """As the XDG base directories have it: a relative path counts as none."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "enxuto"
