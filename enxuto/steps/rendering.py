"""Steps that make files for people of what was measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from enxuto.schema import Digest, Value

FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.[a-z0-9]{1,8}$"
FileName = Annotated[str, Field(pattern=FILE_NAME)]
"""Of one file, never a path: it comes from a step, and files are written under it."""


class RenderReport(Value):
    """Turn a validated report into one self-contained HTML page."""

    kind: Literal["render_report"] = "render_report"
    report: Digest
    """The report's JSON."""


class Rendered(Value):
    file: str
    """The page."""
    delivered_files: dict[FileName, str] = Field(default_factory=dict)
    """What programs take away, by the name that it is delivered under: run settings with a loader, a serving plan's
    files."""
