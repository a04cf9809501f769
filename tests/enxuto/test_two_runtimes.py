"""The same model on two runtimes in one comparison: real runtimes, real processes, few loads."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner
from enxuto.machine import this_machine
from enxuto.report import CompareReport
from enxuto.request import CompareOptions
from enxuto.schema import Digest
from enxuto.search.compare import compare
from enxuto.search.inspect import inspect_dataset, inspect_model
from enxuto.search.plan import Plan
from enxuto.search.timing import Effort
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from tests.support import tiny_data, tiny_models

T = TypeVar("T")
FEW = Effort(first_load=0, least=3, most=3, narrow=0.5, budget_s=60.0, block_ms=4.0, rounds=6)


@pytest.fixture
def on_two_runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CompareReport:
    monkeypatch.setattr("enxuto.search.compare.CONFIRMING", FEW)
    model = tiny_models.save(tiny_models.convnet(channels=16), tmp_path / "net.onnx")
    pictures = np.random.default_rng(1).standard_normal((60, 3, 8, 8)).astype(np.float32)
    data = tiny_data.labelled_by(tiny_models.convnet(channels=16), tmp_path / "eval.npz", {"image": pictures})
    files = FolderFiles(tmp_path / "files")
    runner = StepRunner(files, scratch=tmp_path / "scratch")

    def run(plan: Plan[T]) -> T:
        return drive(plan, runner, machine="here", journal=MemoryJournal(), control=Control())

    def add(path: Path) -> tuple[Digest, str]:
        return files.add(path), path.name

    net, samples = run(inspect_model(*add(model))), run(inspect_dataset(*add(data)))
    request = CompareOptions(settings=OpenVinoSettings(), against_settings=OnnxRuntimeSettings())
    return run(compare(request, net, net, samples, this_machine()))


def test_one_model_is_judged_on_two_runtimes_in_one_job(on_two_runtimes: CompareReport) -> None:
    report = on_two_runtimes
    assert "on OpenVINO against net.onnx on ONNX Runtime" in report.why
    assert report.measured.drop is not None
    assert (report.measured.drop.worse, report.measured.drop.better, report.measured.drop.p_value) == (0, 0, 1.0)
    assert report.measured.fidelity is not None
    assert report.measured.fidelity.sqnr_db is not None, "two runtimes do not add up in the same order"
    assert report.measured.fidelity.sqnr_db > 80
    assert report.measured.latency is not None
    assert len(report.measured.load_ratios) == 3
    assert report.measured.memory_bytes != report.measured_against.memory_bytes
    assert report.size.verdict == "no_gain"
    assert all(noise.disturbed_share is not None for noise in report.noise)
