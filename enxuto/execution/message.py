"""What parent and child tell each other, through files in the step's folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enxuto.execution.sandbox import Policy

REQUEST, MISSING_LAYERS, RESULT, FINDING = "request.json", "missing_layers.json", "result.json", "finding.json"
NO_ROOM = 28
"""Exit code of a child that could not even write down why it failed, since the disk was full."""


@dataclasses.dataclass(frozen=True)
class Request:
    """Standard library only: the child reads it before its box is closed."""

    step: str
    """JSON."""
    files: Mapping[str, str]
    """Path by digest."""
    policy: Policy
    require_sandbox: bool

    def write(self, folder: Path) -> None:
        (folder / REQUEST).write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Request:
        document: dict[str, Any] = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
        return cls(**{**document, "policy": Policy(**document["policy"])})
