"""Samples are run in larger batches where nothing but the time changes, and as the workload says elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx.parser import parse_model

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput, OutOfCapacity
from enxuto.judge import answers as module
from enxuto.judge.answers import answers, depends_on_batch
from enxuto.runtimes import LoadedModel, load_model
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.signature import TensorSpec
from tests.support import tiny_models
from tests.support.tiny_samples import StepFiles

COUNT = 100
FEATURES = {"x": np.random.default_rng(0).standard_normal((COUNT, 16)).astype(np.float32)}
DYNAMIC = """
<ir_version: 8, opset_import: ["" : 17]>
rounded (float[batch, 16] x) => (float[batch, 16] y) {
    q, s, z = DynamicQuantizeLinear(x)
    y = DequantizeLinear(q, s, z)
}
"""
CENTRED = """
<ir_version: 8, opset_import: ["" : 17]>
centred (float[batch, 16] x) => (float[batch, 16] y) {
    mean = ReduceMean<axes = [0]>(x)
    y = Sub(x, mean)
}
"""


class Counting:
    """A model that keeps the size of each batch it is run on."""

    def __init__(self, model: LoadedModel, fails_above: int = 1000, error: type[Exception] = BadInput) -> None:
        self.inputs: list[TensorSpec] = model.inputs
        self.outputs: list[TensorSpec] = model.outputs
        self.sizes: list[int] = []
        self._model = model
        self._fails_above, self._error = fails_above, error

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        self.sizes.append(len(feeds["x"]))
        if self.sizes[-1] > self._fails_above:
            raise self._error("too large")
        return self._model.run(feeds)


def counting(tmp_path: Path, text: str | None = None, **fails: object) -> tuple[Counting, SampleBatches]:
    files = StepFiles(tmp_path)
    digest = files.add_model(parse_model(text) if text else tiny_models.mlp())
    model = Counting(load_model(files[digest]), **fails)  # type: ignore[arg-type]
    return model, SampleBatches(files.samples(FEATURES), files, {}, model.inputs)


def run(model: Counting, samples: SampleBatches, size: int = 1, *, may_grow: bool = True) -> np.ndarray:
    seen = list(answers(model, samples, size, may_grow=may_grow))
    assert [one.start for one in seen] == np.cumsum([0, *(one.count for one in seen)])[:-1].tolist()
    return np.concatenate([one.outputs[model.outputs[0].name] for one in seen])


def test_most_samples_are_run_thirty_two_at_once(tmp_path: Path) -> None:
    model, samples = counting(tmp_path)
    grown = run(model, samples)
    assert sorted(set(model.sizes)) == [1, 4, 32]
    assert model.sizes.count(32) == 1 + 3, "to see that they are the same, and for the 68 that are left"
    apart, again = counting(tmp_path / "again")
    np.testing.assert_allclose(grown, run(apart, again, may_grow=False), rtol=1e-4, atol=1e-5)
    assert set(apart.sizes) == {1}


def test_a_model_that_looks_across_the_batch_is_run_as_the_workload_says(tmp_path: Path) -> None:
    """Nothing in the file says so: the first batch shows it."""
    model, samples = counting(tmp_path, CENTRED)
    assert not run(model, samples).any(), "each sample less the mean of itself"
    assert model.sizes.count(1) == COUNT


@pytest.mark.parametrize("error", [BadInput, OutOfCapacity])
def test_a_model_that_does_not_run_at_another_size_is_not_made_to(tmp_path: Path, error: type[Exception]) -> None:
    model, samples = counting(tmp_path, fails_above=1, error=error)
    assert len(run(model, samples)) == COUNT
    assert model.sizes.count(1) == COUNT


def test_a_batch_takes_no_more_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 9 * (16 + 4) * 4)
    model, samples = counting(tmp_path)
    run(model, samples)
    assert max(model.sizes) == 9


def test_larger_batches_are_multiples_of_the_workloads(tmp_path: Path) -> None:
    model, samples = counting(tmp_path)
    run(model, samples, size=5)
    assert sorted(set(model.sizes)) == [5, 20, 30]
    model, samples = counting(tmp_path / "again")
    run(model, samples, size=64)
    assert set(model.sizes) == {64}


def test_ranges_over_a_batch_are_told_from_the_file(tmp_path: Path) -> None:
    files = StepFiles(tmp_path)
    dynamic, plain = files.add_model(parse_model(DYNAMIC)), files.add_model(tiny_models.mlp())
    assert depends_on_batch(files[dynamic], OnnxRuntimeSettings())
    assert not depends_on_batch(files[plain], OnnxRuntimeSettings())
    assert not depends_on_batch(files[plain], OpenVinoSettings())
    assert depends_on_batch(files[plain], OpenVinoSettings(dynamic_quantization=True))
