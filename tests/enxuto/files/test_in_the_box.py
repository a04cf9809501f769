"""Inspections run as steps, in the box that every upload is opened in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx.parser import parse_model

from enxuto.execution.files import FolderFiles
from enxuto.execution.limits import Limits
from enxuto.execution.process import StepRunner
from enxuto.signature import DatasetInspection, ModelInspection
from enxuto.steps import Done, Failed, InspectDataset, InspectModel, Outcome
from tests.support import tiny_data, tiny_models


class Box:
    def __init__(self, folder: Path) -> None:
        self.files = FolderFiles(folder / "files")
        limits = Limits(memory_bytes=1 << 30, scratch_bytes=1 << 26)
        self.run = StepRunner(self.files, scratch=folder / "scratch", limits=limits)

    def model(self, path: Path) -> Outcome:
        return self.run(InspectModel(model=self.files.add(path), name=path.name), stop=lambda: False)

    def dataset(self, path: Path) -> Outcome:
        return self.run(InspectDataset(dataset=self.files.add(path), name=path.name), stop=lambda: False)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_model_is_inspected_and_leaves_no_file(box: Box, tmp_path: Path) -> None:
    outcome = box.model(tiny_models.save(tiny_models.convnet(), tmp_path / "net.onnx"))
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, ModelInspection)
    assert outcome.result.advice == []
    assert outcome.files == {}


def test_a_dataset_leaves_an_array_a_file(box: Box, tmp_path: Path) -> None:
    columns = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    outcome = box.dataset(tiny_data.write(tmp_path / "data.npz", {"x": columns, "labels": np.arange(4)}))
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, DatasetInspection)
    assert outcome.files.keys() == {"array_0.npy", "array_1.npy"}
    np.testing.assert_array_equal(np.load(box.files.path(outcome.files["array_0.npy"])), columns)


def test_a_model_that_asks_for_all_memory_when_it_runs_is_stored_with_a_word_on_it(box: Box, tmp_path: Path) -> None:
    greedy = parse_model(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        greedy (float[n] x) => (float[a, b] y) {
            rows = Shape(x)
            many = Constant<value = int64[1] {8589934592}>()
            shape = Concat<axis = 0>(rows, many)
            y = ConstantOfShape(shape)
        }
        """
    )
    outcome = box.model(tiny_models.save(greedy, tmp_path / "greedy.onnx"))
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, ModelInspection)
    assert [finding.code for finding in outcome.result.advice] == ["trial_failed"]


def test_arrays_larger_than_the_scratch_may_be_are_a_finding(box: Box, tmp_path: Path) -> None:
    outcome = box.dataset(tiny_data.write(tmp_path / "data.npz", {"x": np.zeros((9, 1 << 20))}))
    assert isinstance(outcome, Failed)
    assert outcome.finding.fault == "capacity"
