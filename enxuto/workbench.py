"""Files and processes of one verb that is done here, in a folder of its own that goes when it ends."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from enxuto.beside import weights_beside
from enxuto.errors import BadInput
from enxuto.execution.drive import Control, MemoryJournal, RunStep, drive
from enxuto.execution.files import FolderFiles
from enxuto.execution.measuring import host_lock
from enxuto.execution.process import StepRunner
from enxuto.extra import require_local
from enxuto.machine import this_machine
from enxuto.report import Report
from enxuto.schema import Digest
from enxuto.search.inspect import find_weights, gather_model, inspect_dataset, inspect_model
from enxuto.search.plan import Plan, PlanFailed, Progress
from enxuto.search.render import render_report
from enxuto.signature import DatasetInput, ModelInput

T = TypeVar("T")
OnProgress = Callable[[Progress], None]


class Workbench:
    """One verb's files and processes; what runs its steps may be wrapped by who watches them."""

    def __init__(self, folder: Path, progress: OnProgress) -> None:
        self._files = FolderFiles(folder / "files")
        self.runner: RunStep = StepRunner(self._files, scratch=folder / "scratch", measuring_lock=host_lock())
        self._progress = progress
        self._journal = MemoryJournal()

    def drive(self, plan: Plan[T], deadline_s: float | None = None) -> T:
        """A deadline is for searches alone: inspecting and rendering have no best so far."""
        control = Control(progress=self._progress, deadline_s=deadline_s)
        machine = this_machine().fingerprint
        return drive(plan, self.runner, machine=machine, journal=self._journal, control=control)

    def model(self, path: str | Path) -> ModelInput:
        """A model whose weights lie in other files brings those that lie beside it."""
        file, name = self._take(path), Path(path).name
        try:
            return self.drive(inspect_model(file, name))
        except PlanFailed as failed:
            if failed.finding.code != "external_data":
                raise
        places = weights_beside(Path(path), self.drive(find_weights(file, name)))
        weights = {location: self._take(place) for location, place in places.items()}
        gathered = self.drive(gather_model(file, name, weights))
        self._files.put_beside(gathered, sorted(set(weights.values())))
        return self.drive(inspect_model(gathered, name, self._files.beside(gathered)))

    def dataset(self, path: str | Path | None) -> DatasetInput | None:
        return None if path is None else self.drive(inspect_dataset(self._take(path), Path(path).name))

    def _take(self, path: str | Path) -> Digest:
        if not Path(path).is_file():
            raise BadInput(f"There is no file '{path}'.", code="file_not_found", hint="Check the path.")
        return self._files.add(Path(path))

    def deliver(self, report: Report, out: Path, *, optimized: Digest | None = None) -> None:
        """Write what a user takes away."""
        document = self._files.folder / "report.json"
        document.write_text(report.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
        digest = self._files.add(document)
        rendered = self.drive(render_report(digest))
        out.mkdir(parents=True, exist_ok=True)
        ours = {"optimized.onnx": optimized, "report.json": digest, "report.html": rendered.page}
        beside = {digest: digest for digest in (self._files.beside(optimized) if optimized else ())}
        for name, source in {**rendered.delivered, **beside, **ours}.items():
            if source is not None:
                _copy_whole(self._files.path(source), out / name)


def _copy_whole(source: Path, target: Path) -> None:
    """Copy so that a reader of the target sees all of it or what was there before."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.copyfile(source, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def workbench(progress: OnProgress | None) -> Iterator[Workbench]:
    require_local()
    with tempfile.TemporaryDirectory(prefix="enxuto-") as folder:
        yield Workbench(Path(folder), progress or (lambda _: None))
