"""On which processors a quantized model holds its accuracy, told with real ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.graph.apply import apply_technique
from enxuto.judge import portability
from enxuto.judge.emulate.run import Emulated
from enxuto.judge.portability import assess_portability
from enxuto.judge.portability_words import verdict
from enxuto.metric import TopK
from enxuto.processor import Processor
from enxuto.steps import AssessPortability, Fidelity, Portability, ProcessorAccuracy
from enxuto.techniques import AnyTechnique, Work
from enxuto.techniques.dynamic_int8 import DynamicInt8
from enxuto.techniques.half_weights import HalfWeights
from enxuto.techniques.static_int8 import StaticInt8
from enxuto.techniques.weight_only import WeightOnly
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.batches import VNNI, context, samples_for
from tests.support.tiny_samples import StepFiles

AVX2 = frozenset({"avx2"})
ALL: list[Processor] = ["x86_vnni", "x86_avx2", "arm"]


@pytest.fixture
def files(tmp_path: Path) -> StepFiles:
    return StepFiles(tmp_path)


def made(model: ModelProto, technique: AnyTechnique, folder: Path, sets: frozenset[str] = VNNI) -> ModelProto:
    work = Work(ir.from_proto(model))
    return ir.to_proto(apply_technique(technique, work, context(folder, samples_for(model, 64), sets)).model)


def assess(
    files: StepFiles, folder: Path, original: ModelProto, model: ModelProto,
    arrays: dict[str, np.ndarray] | None = None, sets: Sequence[str] = tuple(VNNI), batch_size: int = 4,
) -> Portability:  # fmt: skip
    step = AssessPortability(
        original=files.add_model(original),
        model=files.add_model(model),
        processors=ALL,
        samples=None if arrays is None else files.samples(arrays),
        preprocessing={},
        workload=Workload(batch_size=batch_size),
        seed=0,
        instruction_sets=list(sets),
        metric=TopK(),
    )
    return assess_portability(step, files, folder)


def of(found: Portability, processor: Processor) -> ProcessorAccuracy:
    return next(one for one in found.processors if one.processor == processor)


def loud_mlp() -> ModelProto:
    """Weights of one size and sign in long runs, and inputs that are all large: what saturates most."""
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        loud (float[batch, 64] x) => (float[batch, 4] y) { y = MatMul(x, w) }""")
    signs = np.repeat(np.random.default_rng(0).choice([-1.0, 1.0], (8, 4)), 8, axis=0)
    model.graph.initializer.append(numpy_helper.from_array(signs.astype(np.float32), "w"))
    return model


def large_inputs(count: int = 40) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).uniform(0.5, 1, (count, 64)).astype(np.float32)}


def test_a_model_that_is_ruined_by_saturation_is_told(files: StepFiles, tmp_path: Path) -> None:
    model = made(loud_mlp(), DynamicInt8(), tmp_path)
    found = assess(files, tmp_path, loud_mlp(), model, large_inputs())
    there = of(found, "x86_avx2")
    assert (there.method, there.holds, found.samples) == ("emulated", False, 32)
    assert there.saturated_share is not None
    assert there.saturated_share > 0.5
    assert there.sqnr_db is not None
    assert there.sqnr_db < 20
    assert "x64quantprecision" in there.why
    assert of(found, "x86_vnni").method == "measured"
    assert of(found, "arm").holds is True
    assert "not measured" in found.speed


def test_small_activations_do_not_saturate_though_weights_could(files: StepFiles, tmp_path: Path) -> None:
    arrays = large_inputs()
    arrays["x"] *= np.float32(0.1)
    arrays["x"][:, :2] = (1, 0)  # the range is taken from the one, whose neighbour adds nothing
    model = made(loud_mlp(), DynamicInt8(), tmp_path)
    there = of(assess(files, tmp_path, loud_mlp(), model, arrays), "x86_avx2")
    assert (there.method, there.holds, there.saturated_share) == ("emulated", True, 0.0)


def test_the_same_seen_from_a_processor_that_saturates(files: StepFiles, tmp_path: Path) -> None:
    """There, sums are exact; that they are better than here is no loss."""
    model = made(loud_mlp(), DynamicInt8(), tmp_path)
    found = assess(files, tmp_path, loud_mlp(), model, large_inputs(), sets=["avx2"])
    assert of(found, "x86_avx2").method == "measured"
    assert (of(found, "x86_vnni").method, of(found, "x86_vnni").saturated_share) == ("emulated", 0.0)
    assert of(found, "arm").sqnr_db == of(found, "x86_vnni").sqnr_db


@pytest.mark.parametrize("technique", [StaticInt8(), DynamicInt8()])
def test_seven_bits_hold_whatever_is_fed(technique: AnyTechnique, files: StepFiles, tmp_path: Path) -> None:
    model = made(tiny_models.convnet(), technique, tmp_path, AVX2)
    there = of(assess(files, tmp_path, tiny_models.convnet(), model), "x86_avx2")
    assert (there.method, there.holds) == ("bounded", True)


@pytest.mark.parametrize("technique", [HalfWeights(), WeightOnly(), WeightOnly(bits=4)])
def test_what_computes_in_floating_point_is_the_same_arithmetic(
    technique: AnyTechnique, files: StepFiles, tmp_path: Path
) -> None:
    original = tiny_models.mlp(features=64, hidden=64)
    found = assess(files, tmp_path, original, made(original, technique, tmp_path))
    assert [(one.method, one.holds) for one in found.processors[1:]] == [("same_arithmetic", True)] * 2
    assert found.samples == 0


def test_random_inputs_prove_nothing(files: StepFiles, tmp_path: Path) -> None:
    model = made(tiny_models.convnet(), StaticInt8(), tmp_path)
    there = of(assess(files, tmp_path, tiny_models.convnet(), model), "x86_avx2")
    assert there.holds is not True
    assert "random" in there.why


def test_a_fixed_batch_is_filled_and_counted_once(files: StepFiles, tmp_path: Path) -> None:
    original = tiny_models.fixed_convnet(batch=4)
    model = made(original, StaticInt8(), tmp_path)
    arrays = {"image": np.random.default_rng(0).standard_normal((10, 3, 8, 8)).astype(np.float32)}
    assert assess(files, tmp_path, original, model, arrays).samples == 10


def test_what_takes_too_long_is_said_and_not_guessed(
    files: StepFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portability, "MULTIPLIES", 10_000)
    model = made(loud_mlp(), DynamicInt8(), tmp_path)
    there = of(assess(files, tmp_path, loud_mlp(), model, large_inputs()), "x86_avx2")
    assert (there.method, there.holds) == ("bounded", None)
    assert "too large" in there.why


def test_operators_that_are_not_worked_out_are_named(files: StepFiles, tmp_path: Path) -> None:
    text = """
        <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        attention (uint8[batch, 4, 16] x) => (float[batch, 4, 16] y)
        <float x_scale = {0.01}, float w_scale = {0.001}, uint8 x_zero = {3}, int8 w_zero = {0}> {
            y = com.microsoft.QAttention<num_heads = 2>(x, w, b, x_scale, w_scale, , x_zero, w_zero)
        }"""
    model = parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(np.full((16, 48), 120, np.int8), "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(48, np.float32), "b"))
    there = of(assess(files, tmp_path, model, model), "x86_avx2")
    assert (there.method, there.holds) == ("bounded", None)
    assert "QAttention" in there.why


def test_sums_in_float16_are_not_the_same_everywhere(files: StepFiles, tmp_path: Path) -> None:
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        half (float16[batch, 8] x) => (float16[batch, 4] y) { y = MatMul(x, w) }""")
    weight = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float16)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    found = assess(files, tmp_path, model, model)
    assert (of(found, "x86_avx2").holds, of(found, "arm").holds) == (True, None)


@pytest.mark.parametrize(
    ("here_db", "there_db", "chosen", "holds", "words"),
    [
        (30.0, 29.5, 1.0, True, "on 100\u00a0% there"),
        (30.0, 26.0, 1.0, None, "No choice changed on these samples; noise 2.51 times as strong"),
        (30.0, 9.0, 1.0, False, "noise 126 times as strong"),
        (30.0, 29.5, 0.96875, False, "on 96.88\u00a0% there and 100\u00a0% here"),
        (30.0, 26.0, None, False, "26.0 dB there"),
    ],
)
def test_noise_that_changes_no_choice_is_told_from_choices_that_change(
    here_db: float, there_db: float, chosen: float | None, holds: bool | None, words: str
) -> None:
    here = Fidelity(sqnr_db=here_db, cosine=1.0, agreement=None if chosen is None else 1.0)
    there = Fidelity(sqnr_db=there_db, cosine=1.0, agreement=chosen)
    found = verdict("x86_avx2", Emulated(32, there, here, 0.01, complete=True), [], real_data=True)
    assert found.holds is holds
    assert words in found.why
