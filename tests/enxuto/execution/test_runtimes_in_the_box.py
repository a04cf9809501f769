"""Every runtime works inside the sandbox: loaded, timed, judged and weighed by real steps in processes of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx.parser import parse_model

import enxuto
from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner
from enxuto.execution.spawn import start
from enxuto.metric import TopK
from enxuto.schema import Digest, Value
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.steps import (
    Done,
    EvaluateModel,
    Evaluation,
    EvaluationFiles,
    Failed,
    LatencyLoad,
    MeasureLatency,
    MeasureMemory,
    MemoryUse,
    Outcome,
    Samples,
    Step,
    Subject,
)
from enxuto.workload import Workload
from tests.support.tiny_models import convnet, save

ORT, OPENVINO = OnnxRuntimeSettings(), OpenVinoSettings()
BOTH = pytest.mark.parametrize("settings", [ORT, OPENVINO], ids=["onnxruntime", "openvino"])


class Bench:
    """A model, labelled samples, and a runner over them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = FolderFiles(folder / "files")
        self._runner = StepRunner(self._files, scratch=folder / "scratch")
        self.model = self._files.add(save(convnet(), folder / "m.onnx"))
        random = np.random.default_rng(0)
        self.samples = Samples(
            arrays={"image": self._array(random.standard_normal((20, 3, 8, 8)).astype(np.float32))},
            labels=self._array(random.integers(0, 10, 20)),
            count=20, start=0, stop=20, seed=0,
        )  # fmt: skip

    def _array(self, array: np.ndarray) -> Digest:
        np.save(self._folder / "array.npy", array)
        return self._files.add(self._folder / "array.npy")

    def run(self, step: Step) -> Outcome:
        return self._runner(step, stop=lambda: False)

    def done(self, step: Step) -> Done[Value]:
        outcome = self.run(step)
        assert isinstance(outcome, Done), outcome
        return outcome

    def evaluation(self, settings: RunSettings, threads: int = 1, reference: EvaluationFiles | None = None) -> Step:
        return EvaluateModel(
            subject=Subject(model=self.model, settings=settings),
            samples=self.samples, preprocessing={}, metric=TopK(), reference=reference,
            workload=Workload(batch_size=8, threads=threads),
        )  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("threads", [1, 2])
def test_runtimes_that_agree_are_seen_to_agree(bench: Bench, threads: int) -> None:
    before = bench.done(bench.evaluation(ORT, threads))
    found = before.result
    assert isinstance(found, Evaluation)
    outputs = {name: before.files[file] for name, file in found.outputs_files.items()}
    reference = EvaluationFiles(scores=before.files[found.scores_file], outputs=outputs)
    after = bench.done(bench.evaluation(OPENVINO, threads, reference)).result
    assert isinstance(after, Evaluation)
    assert after.metric_value == found.metric_value
    assert after.fidelity is not None
    assert after.fidelity.agreement == 1.0
    assert after.fidelity.cosine > 0.99999


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_model_is_timed_on_both_side_by_side(bench: Bench, threads: int) -> None:
    step = MeasureLatency(
        subjects=[Subject(model=bench.model, settings=settings) for settings in (ORT, OPENVINO)],
        workload=Workload(threads=threads), samples=bench.samples, preprocessing={}, load=0, seed=0,
        block_ms=5, rounds=4, most_rounds=4,
    )  # fmt: skip
    found = bench.done(step).result
    assert isinstance(found, LatencyLoad)
    assert [timing.calls >= 12 for timing in found.timings] == [True, True]
    assert 0.02 < found.timings[1].ratio < 50


@BOTH
def test_memory_is_measured_of_either(bench: Bench, settings: RunSettings) -> None:
    step = MeasureMemory(
        subject=Subject(model=bench.model, settings=settings),
        workload=Workload(), samples=bench.samples, preprocessing={}, seed=0,
    )  # fmt: skip
    found = bench.done(step).result
    assert isinstance(found, MemoryUse)
    assert found.runtime_bytes < found.loaded_bytes <= found.peak_bytes


@BOTH
def test_a_model_that_does_not_run_is_a_finding_and_no_crash(
    bench: Bench, settings: RunSettings, tmp_path: Path
) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 3, 8, 8] image, float[2, 2] w) => (float[a, b, c, d] y) { y = Add(image, w) }"""
    model = FolderFiles(tmp_path / "files").add(save(parse_model(text), tmp_path / "broken.onnx"))
    step = MeasureLatency(
        subjects=[Subject(model=model, settings=settings)],
        workload=Workload(), samples=None, preprocessing={}, load=0, seed=0,
    )  # fmt: skip
    outcome = bench.run(step)
    assert isinstance(outcome, Failed)
    assert outcome.finding.code in ("model_fails_to_run", "model_fails_to_load")


def test_no_runtime_gathers_what_it_would_tell_its_makers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    model = save(convnet(), tmp_path / "m.onnx")
    script = tmp_path / "load.py"
    script.write_text(f"""
import sys
sys.path.insert(0, {str(Path(enxuto.__file__).parents[1])!r})
from pathlib import Path
from enxuto.runtimes import load_model
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
for settings in (OnnxRuntimeSettings(), OpenVinoSettings()):
    load_model(Path({str(model)!r}), settings)
print("loaded")
""")
    with start(script, tmp_path, home) as process:
        words = process.communicate()[0].decode()
    assert words.split() == ["loaded"]
    assert list(home.iterdir()) == []


def test_nothing_is_left_where_openvino_could_keep_what_it_compiled(bench: Bench, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    bench.done(bench.evaluation(OPENVINO))
    left = {path.suffix for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert left <= {""}, "blobs alone, which have no ending"
