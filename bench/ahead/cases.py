"""A case: a model, data of its own, and how both are to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.schema import Value
from enxuto.workload import Workload

SETTINGS = "enxuto.json"


class CaseSettings(Value):
    """What a request would say of the model, in its form; defaults stand for what is not said."""

    metric: Metric | None = None
    preprocessing: Preprocessing = Field(default_factory=dict)
    workload: Workload = Field(default_factory=Workload)


@dataclass(frozen=True)
class Case:
    name: str
    model: Path
    evaluation: Path | None
    calibration: Path | None
    settings: CaseSettings


def find_cases(folder: Path, settings: Path | None, only: list[str] | None) -> list[Case]:
    """Every folder with a ``model.onnx``; data in ``data/eval.npz`` and ``data/calib.npz``, settings in ``enxuto.json``
    beside the model, or ``NAME.json`` in a folder of settings, which goes first."""
    folders = {path.parent.name: path.parent for path in sorted(folder.glob("*/model.onnx"))}
    if unknown := set(only or ()) - folders.keys():
        raise SystemExit(f"{folder} has no case {', '.join(sorted(unknown))}")
    return [_case(folders[name], settings) for name in only or folders]


def _case(folder: Path, settings: Path | None) -> Case:
    given = [settings / f"{folder.name}.json"] if settings else []
    text = next((path.read_text(encoding="utf-8") for path in [*given, folder / SETTINGS] if path.is_file()), "{}")
    return Case(
        name=folder.name,
        model=folder / "model.onnx",
        evaluation=_if_there(folder / "data" / "eval.npz"),
        calibration=_if_there(folder / "data" / "calib.npz"),
        settings=CaseSettings.model_validate_json(text),
    )


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None
