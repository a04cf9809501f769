"""What a child answers, read as from a stranger: a result of the step's kind, a finding, or neither."""

from __future__ import annotations

import logging
import re
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from enxuto.errors import Finding, Reported, StepCrashed
from enxuto.execution.explain import HOSTILE_OR_DEFECT, death, disk_full, plain
from enxuto.execution.leavings import read_document
from enxuto.execution.limits import Limits
from enxuto.execution.message import FINDING, MISSING_LAYERS, NO_ROOM, RESULT
from enxuto.schema import Value
from enxuto.steps import RESULTS

_LayerNames = TypeAdapter(list[str])
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_log = logging.getLogger(__name__)


def read_answer(kind: str, folder: Path, return_code: int, words: str, limits: Limits) -> Value:
    """What the child left; raises what it left instead, or what became of it."""
    if return_code == NO_ROOM:
        raise disk_full()
    if return_code == 1 and (document := read_document(folder / FINDING)) is not None:
        _log.info("step %s failed: %s", kind, plain(words))
        raise Reported(_finding(document))
    if return_code != 0 or (document := read_document(folder / RESULT)) is None:
        _log.warning("step %s died with %s: %s", kind, return_code, plain(words))
        raise death(return_code, words, limits)
    try:
        return RESULTS[kind].model_validate_json(document)
    except ValidationError as error:
        raise StepCrashed(
            f"The step's result is none of its kind: {plain(str(error))}",
            code="step_result_invalid",
            hint=HOSTILE_OR_DEFECT,
        ) from error


def _finding(document: bytes) -> Finding:
    try:
        told = Finding.model_validate_json(document)
    except ValidationError as error:
        raise StepCrashed("The step's finding is none.", code="step_result_invalid", hint=HOSTILE_OR_DEFECT) from error
    if not _CODE.fullmatch(told.code):
        raise StepCrashed("The step's finding has no fit code.", code="step_result_invalid", hint=HOSTILE_OR_DEFECT)
    return told.model_copy(update={"detail": plain(told.detail), "hint": plain(told.hint)})


def warn_of_missing_layers(folder: Path) -> None:
    """As the child says; one that lies about it has left the box, and it is too late to ask."""
    document = read_document(folder / MISSING_LAYERS)
    try:
        missing = _LayerNames.validate_json(document or b"[]")
    except ValidationError as error:
        raise StepCrashed(
            "The step says nonsense about its sandbox.", code="step_result_invalid", hint=HOSTILE_OR_DEFECT
        ) from error
    if missing:
        _warn_once(plain(", ".join(missing)))


@cache
def _warn_once(missing: str) -> None:
    _log.warning("steps run without a part of the sandbox that this kernel does not give: %s", missing)
