"""Runs the library's own steps on models that lie anywhere, a fresh process each."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench.ahead import child
from enxuto.errors import Finding
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.execution.files import FolderFiles
from enxuto.execution.measuring import alone
from enxuto.execution.references import digests_of, files_named_in
from enxuto.schema import Digest, Value
from enxuto.search.plan import Plan
from enxuto.steps import MEASURES, RESULTS, Done, Failed, Outcome, Step

T = TypeVar("T")


class Workplace:
    """The files and processes of one case. One measuring step at a time runs among all that share the lock."""

    def __init__(self, folder: Path, measuring_lock: Path | None) -> None:
        self._measuring_lock = measuring_lock
        self._folder = folder
        self._kept = FolderFiles(folder / "files")
        self._models: dict[Digest, Path] = {}
        self._journal = MemoryJournal()

    def add(self, path: Path) -> Digest:
        return self._kept.add(path)

    def model(self, path: Path) -> Digest:
        """Know a model where it lies, with what lies beside it: weights may be in a file of their own."""
        digest = hashlib.sha256(b"".join(each.read_bytes() for each in files_of(path))).hexdigest()
        self._models.setdefault(digest, path)
        return digest

    def drive(self, plan: Plan[T]) -> T:
        return drive(plan, self, machine="here", journal=self._journal, control=Control())

    def __call__(self, step: Step, *, stop: Callable[[], bool]) -> Outcome:
        """One step; one that measures waits for all others that do."""
        with alone(self._measuring_lock if step.kind in MEASURES else None, stop):
            started = time.monotonic()
            with tempfile.TemporaryDirectory(dir=self._folder) as name:
                found = self._perform(step, Path(name))
            return found.model_copy(update={"elapsed_s": time.monotonic() - started})

    def _perform(self, step: Step, folder: Path) -> Outcome:
        (folder / "out").mkdir()
        files = {digest: str(self._path(digest)) for digest in digests_of(step)}
        request = {"step": step.model_dump(mode="json", by_alias=True), "files": files}
        (folder / child.REQUEST).write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", child.__name__, str(folder)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if (folder / child.FINDING).is_file():
            finding = Finding.model_validate_json((folder / child.FINDING).read_text(encoding="utf-8"))
            return Failed(finding=finding, elapsed_s=0.0)
        if done.returncode:
            words = (done.stderr.strip().splitlines() or [""])[-1]
            detail = f"the process ended with {done.returncode}: {words}"
            return Failed(finding=Finding(code="step_crashed", detail=detail, hint=""), elapsed_s=0.0)
        result: Value = RESULTS[step.kind].model_validate_json((folder / child.RESULT).read_text(encoding="utf-8"))
        left = {named: self._kept.add(folder / "out" / named) for named in files_named_in(result)}
        return Done[Value](result=result, files=left, elapsed_s=0.0)

    def _path(self, digest: Digest) -> Path:
        return self._models.get(digest) or self._kept.path(digest).resolve()


def files_of(model: Path) -> list[Path]:
    """What a model consists of: OpenVINO's form has two files, ONNX may keep weights beside it."""
    if model.suffix == ".xml":
        return [model, model.with_suffix(".bin")]
    return [model, *sorted(path for path in model.parent.iterdir() if path.suffix in {".data", ".onnx_data"})]


def size_of(model: Path) -> int:
    return sum(path.stat().st_size for path in files_of(model))
