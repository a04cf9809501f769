"""Reads the report of an earlier search, whose measurements another goal is answered from."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from enxuto.errors import BadInput
from enxuto.report import OptimizeReport

_MOST_BYTES = 256 << 20


def read_earlier(path: str | Path) -> OptimizeReport:
    """Raises BadInput where the file is not there, or is no report of an optimization."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"There is no file '{path}'.", code="file_not_found", hint="Check the path.")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        return OptimizeReport.model_validate_json(path.read_bytes())
    except (ValidationError, ValueError) as error:
        raise BadInput(
            f"'{path}' is no report of an optimization that this version reads.",
            code="earlier_does_not_fit",
            hint="Give the report.json of an earlier optimization of the same model.",
        ) from error
