"""An input of shape [] is fed one number for all samples, by every step and by both runtimes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import enxuto
from enxuto.dataset import SampleBatches, feeds_for
from enxuto.dataset.examine import examine_data
from enxuto.graph.transform import apply_recipe
from enxuto.judge.diagnose import diagnose_model
from enxuto.judge.evaluate import evaluate_model
from enxuto.judge.portability import assess_portability
from enxuto.judge.sensitivity import measure_sensitivity
from enxuto.measure.queries import load_copies
from enxuto.metric import Agreement, Expression
from enxuto.preprocessing import InputPreprocessing
from enxuto.quantization.calibrate import calibrate_model
from enxuto.quantization.statistics import Statistics
from enxuto.runtimes import load_model
from enxuto.schema import Digest
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.signature import TensorSpec
from enxuto.steps import (
    ApplyRecipe,
    AssessPortability,
    CalibrateModel,
    DiagnoseModel,
    EvaluateModel,
    EvaluationFiles,
    ExamineData,
    MeasureSensitivity,
    Samples,
    Subject,
)
from enxuto.techniques import AnyTechnique
from enxuto.techniques.static_int8 import StaticInt8
from enxuto.techniques.weight_only import WeightOnly
from enxuto.workload import Workload
from tests.support import tiny_data, tiny_models
from tests.support.inspection import all_samples
from tests.support.tiny_samples import StepFiles

COUNT, SCALE = 70, 0.25
ROWS = np.random.default_rng(3).standard_normal((COUNT, 64)).astype(np.float32)
INPUTS = [
    TensorSpec(name="scale", dtype="float32", shape=[]),
    TensorSpec(name="x", dtype="float32", shape=["batch", 64]),
]
RUNTIMES: list[RunSettings] = [OnnxRuntimeSettings(), OpenVinoSettings(), OpenVinoSettings(fixed_shapes=True)]


@dataclass
class Given:
    """A model in a folder, the samples for it, and where steps leave files."""

    files: StepFiles
    model: Digest
    samples: Samples
    folder: Path

    def out(self, name: str) -> Path:
        (self.folder / name).mkdir()
        return self.folder / name

    def quantized(self, technique: AnyTechnique, batch_size: int = 1) -> Digest:
        workload, out = Workload(batch_size=batch_size), self.out("applied")
        step = ApplyRecipe(
            model=self.model, recipe=[technique], calibration=self.samples, preprocessing={}, seed=0, workload=workload
        )
        return self.files.add(out / apply_recipe(step, self.files, out).file)


def given(folder: Path, batch: int | str = "batch") -> Given:
    data = tiny_data.write(folder / "data.npz", {"scale": np.array(SCALE, np.float32), "x": ROWS})
    samples, arrays = all_samples(data)
    files = StepFiles(folder)
    files.update(arrays)
    return Given(files, files.add_model(tiny_models.scaled_mlp(batch=batch)), samples, folder)


def expected(model: Path, rows: np.ndarray, scale: float = SCALE) -> np.ndarray:
    (found,) = load_model(model).run({"scale": np.array(scale, np.float32), "x": rows})
    return found


def test_every_batch_has_the_one_number(tmp_path: Path) -> None:
    it = given(tmp_path)
    batches = SampleBatches(it.samples, it.files, {}, INPUTS)
    for batch, size in zip(batches(32), (32, 32, 6), strict=True):
        assert (batch["scale"].shape, float(batch["scale"]), len(batch["x"])) == ((), SCALE, size)
    feeds = feeds_for(INPUTS, Workload(batch_size=100), batches, 0)
    assert {name: array.shape for name, array in feeds.items()} == {"scale": (), "x": (100, 64)}


@pytest.mark.parametrize(("dtype", "kind"), [("float32", np.float32), ("bfloat16", ml_dtypes.bfloat16)])
def test_the_number_is_prepared_as_declared(tmp_path: Path, dtype: str, kind: type) -> None:
    it = given(tmp_path)
    spec = TensorSpec(name="scale", dtype=dtype, shape=[])
    how = {"scale": InputPreprocessing(scale=8.0, mean=[1.0], std=[0.5])}
    found = next(SampleBatches(it.samples, it.files, how, [spec])(3))["scale"]
    assert (found.shape, found.dtype, float(found)) == ((), kind, 2.0)


def test_health_is_told_of_what_counts_samples(tmp_path: Path) -> None:
    it = given(tmp_path)
    rows = ROWS.copy()
    rows[5] = 7.0
    arrays = it.samples.arrays | {"x": it.files.add_array(rows)}
    step = ExamineData(
        inputs=INPUTS, calibration=it.samples, evaluation=it.samples.model_copy(update={"arrays": arrays}),
        preprocessing={}, metric=None, scores=None,
    )  # fmt: skip
    findings = examine_data(step, it.files, tmp_path).findings
    assert {finding.input for finding in findings} == {None, "x"}
    assert [finding.examples for finding in findings if finding.code == "constant_samples"] == [[5]]
    (shared,) = [finding for finding in findings if finding.code == "shared_samples"]
    assert shared.count == COUNT - 1


@pytest.mark.parametrize("batch", ["batch", 4])
def test_one_calibration_pass_counts_samples_and_not_the_number(tmp_path: Path, batch: int | str) -> None:
    it = given(tmp_path, batch)
    step = CalibrateModel(model=it.model, samples=it.samples, preprocessing={}, workload=Workload(), seed=0)
    done = calibrate_model(step, it.files, tmp_path)
    assert done.samples == COUNT
    ranges = {name: one.range for name, one in Statistics.read(tmp_path / done.file).tensors.items()}
    scaled = ranges["scaled"]
    assert scaled is not None
    np.testing.assert_allclose([scaled.low, scaled.high], [ROWS.min() * SCALE, ROWS.max() * SCALE])


@pytest.mark.parametrize("batch", ["batch", 4])
@pytest.mark.parametrize("settings", RUNTIMES, ids=["onnxruntime", "openvino", "openvino, fixed shapes"])
def test_a_quantized_model_is_judged_on_the_one_number(tmp_path: Path, settings: RunSettings, batch: int | str) -> None:
    """The last batch is filled up where the model takes four at a time: 70 is no multiple of that."""
    it = given(tmp_path, batch)

    def evaluate(model: Digest, reference: EvaluationFiles | None) -> tuple[float, EvaluationFiles, np.ndarray]:
        out = it.out("judged" if reference else "original")
        step = EvaluateModel(
            subject=Subject(model=model, settings=settings), samples=it.samples, preprocessing={},
            metric=Agreement(by="argmax"), workload=Workload(), reference=reference,
        )  # fmt: skip
        done = evaluate_model(step, it.files, out)
        outputs = {name: it.files.add(out / file) for name, file in done.outputs_files.items()}
        left = EvaluationFiles(scores=it.files.add(out / done.scores_file), outputs=outputs)
        return done.metric_value, left, np.load(it.files[outputs["y"]]) if outputs else np.empty(0)

    _, original, answers = evaluate(it.model, None)
    order = SampleBatches(it.samples, it.files, {}, INPUTS).indices
    free = tiny_models.save(tiny_models.scaled_mlp(), tmp_path / "free.onnx")
    np.testing.assert_allclose(answers, expected(free, ROWS[order]), rtol=1e-3, atol=1e-3)
    score, _, _ = evaluate(it.quantized(StaticInt8()), original)
    assert 0.85 < score <= 1


def test_a_formula_reads_it_as_a_number(tmp_path: Path) -> None:
    it = given(tmp_path)
    step = EvaluateModel(
        subject=Subject(model=it.model), samples=it.samples, preprocessing={}, workload=Workload(), reference=None,
        metric=Expression(expression="mean(inputs.x * inputs.scale)"),
    )  # fmt: skip
    found = evaluate_model(step, it.files, it.out("judged"))
    assert found.metric_value == pytest.approx(float(ROWS.astype(np.float64).mean()) * SCALE)


def test_what_looks_into_models_feeds_it_too(tmp_path: Path) -> None:
    it = given(tmp_path)
    technique, workload = StaticInt8(), Workload(batch_size=4)
    quantized = it.quantized(technique, 4)
    sensitivity = MeasureSensitivity(
        model=it.model, technique=technique, statistics=None, samples=it.samples, preprocessing={},
        workload=workload, seed=0,
    )  # fmt: skip
    assert len(measure_sensitivity(sensitivity, it.files, it.out("sensitivity")).layers) >= 2
    diagnosis = DiagnoseModel(
        original=it.model, subject=Subject(model=quantized), samples=it.samples, preprocessing={}, workload=workload
    )
    assert diagnose_model(diagnosis, it.files, it.out("diagnosis")).layers
    portability = AssessPortability(
        original=it.model, model=quantized, processors=["x86_avx2"], samples=it.samples, preprocessing={},
        workload=workload, seed=0, instruction_sets=["avx2", "avx512f", "avx512_vnni"],
    )  # fmt: skip
    assert assess_portability(portability, it.files, it.out("portability"))


def test_a_model_with_such_an_input_is_served_call_by_call(tmp_path: Path) -> None:
    it = given(tmp_path)
    subject = Subject(model=it.model)
    copies = load_copies(subject, Workload(), it.samples, {}, it.files, instances=1, largest=1, seed=0)
    assert {name: array.shape for name, array in copies.batch(1).items()} == {"scale": (), "x": (1, 64)}
    copies.warm_up([1])
    with pytest.raises(enxuto.EnxutoError, match="takes 1 at most: not all of its inputs"):
        load_copies(subject, Workload(), it.samples, {}, it.files, instances=1, largest=4, seed=0)


@pytest.mark.parametrize("batch", ["batch", 4])
def test_weights_are_rounded_by_what_the_number_makes_of_samples(tmp_path: Path, batch: int | str) -> None:
    it = given(tmp_path, batch)
    path = it.files[it.quantized(WeightOnly(bits=8, method="gptq"))]
    rows = ROWS[:4]
    exact = expected(it.files[it.model], rows)
    np.testing.assert_allclose(expected(path, rows), exact, atol=0.02 * np.abs(exact).max())
