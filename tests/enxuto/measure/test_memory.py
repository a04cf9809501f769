"""Memory is that of a fresh process: measured here in ones that really are fresh, in the box."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.execution.files import FolderFiles
from enxuto.execution.limits import Limits
from enxuto.execution.process import StepRunner
from enxuto.measure import memory
from enxuto.measure.footprint import Footprint
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.steps import Done, Failed, MeasureMemory, MemoryUse, Subject
from enxuto.workload import Workload
from tests.support.tiny_models import convnet, save

MEGABYTE = 2**20


def run(
    folder: Path,
    model: ModelProto,
    settings: RunSettings | None = None,
    *,
    batch_size: int = 1,
    limits: Limits | None = None,
) -> Done | Failed:
    files = FolderFiles(folder / "files")
    step = MeasureMemory(
        subject=Subject(
            model=files.add(save(model, folder / "model.onnx")), settings=settings or OnnxRuntimeSettings()
        ),
        workload=Workload(batch_size=batch_size),
        samples=None,
        preprocessing={},
        seed=0,
    )
    return StepRunner(files, scratch=folder / "scratch", limits=limits)(step, stop=lambda: False)


def use_of(folder: Path, model: ModelProto, settings: RunSettings | None = None, *, batch_size: int = 1) -> MemoryUse:
    outcome = run(folder, model, settings, batch_size=batch_size)
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, MemoryUse)
    return outcome.result


def wide(megabytes: int) -> ModelProto:
    """A matrix product with so many mebibytes of weights."""
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        wide (float[batch, 256] x) => (float[batch, width] y) { y = MatMul(x, weight) }
    """)
    weight = np.random.default_rng(0).standard_normal((256, megabytes * 1024), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    return model


def deep(features: int = 2**18) -> ModelProto:
    """Activations of a mebibyte a sample, and no weights to speak of."""
    return parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        deep (float[batch, {features}] x) => (float[batch] y) {{
            a = Exp(x)
            b = Sqrt(a)
            c = Add(b, a)
            y = ReduceSum<keepdims = 0>(c, axis)
        }}
    """)


def with_axis(model: ModelProto) -> ModelProto:
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    return model


@pytest.mark.parametrize("settings", [OnnxRuntimeSettings(), OpenVinoSettings()], ids=lambda each: each.runtime)
def test_weights_are_told_from_the_runtime_and_the_parts_add_up(tmp_path: Path, settings: RunSettings) -> None:
    small, large = (use_of(tmp_path, wide(megabytes), settings) for megabytes in (1, 40))
    assert abs(small.runtime_bytes - large.runtime_bytes) < 3 * MEGABYTE
    assert small.weights_bytes is not None
    assert large.weights_bytes is not None
    assert 36 * MEGABYTE < large.weights_bytes - small.weights_bytes < 90 * MEGABYTE
    for use in (small, large):
        parts = (use.runtime_bytes, use.weights_bytes, use.arena_bytes, use.rest_bytes)
        assert sum(part or 0 for part in parts) == use.peak_bytes
        assert (use.rest_bytes or 0) > -MEGABYTE
        assert use.runtime_bytes < use.loaded_bytes <= use.peak_bytes
        assert use.steady_bytes <= use.peak_bytes


@pytest.mark.parametrize("settings", [OnnxRuntimeSettings(), OpenVinoSettings()], ids=lambda each: each.runtime)
def test_activations_land_in_the_arena_and_not_in_the_weights(tmp_path: Path, settings: RunSettings) -> None:
    one, many = (use_of(tmp_path, with_axis(deep()), settings, batch_size=size) for size in (1, 32))
    assert one.arena_bytes is not None
    assert many.arena_bytes is not None
    assert many.arena_bytes - one.arena_bytes > 24 * MEGABYTE
    assert abs((many.weights_bytes or 0) - (one.weights_bytes or 0)) < MEGABYTE


def test_without_an_arena_nothing_is_kept_between_calls(tmp_path: Path) -> None:
    kept = use_of(tmp_path, with_axis(deep()), OnnxRuntimeSettings(), batch_size=32)
    freed = use_of(tmp_path, with_axis(deep()), OnnxRuntimeSettings(arena=False), batch_size=32)
    assert (freed.arena_bytes or 0) < 2 * MEGABYTE < (kept.arena_bytes or 0)
    assert freed.peak_bytes > freed.runtime_bytes + 64 * MEGABYTE


def test_the_same_measurement_comes_out_the_same(tmp_path: Path) -> None:
    peaks = [use_of(tmp_path, convnet(channels=64), batch_size=32).peak_bytes for _ in range(3)]
    assert max(peaks) / min(peaks) < 1.03


@pytest.mark.parametrize("settings", [OnnxRuntimeSettings(), OpenVinoSettings()], ids=lambda each: each.runtime)
def test_a_batch_too_large_is_a_lack_of_memory_within_seconds(tmp_path: Path, settings: RunSettings) -> None:
    started = time.monotonic()
    outcome = run(tmp_path, with_axis(deep()), settings, batch_size=500, limits=Limits(memory_bytes=2**30))
    assert isinstance(outcome, Failed)
    assert (outcome.finding.code, outcome.finding.fault) == ("out_of_memory", "capacity")
    assert outcome.finding.hint
    assert time.monotonic() - started < 30


def test_inputs_too_large_to_make_are_a_lack_of_memory(tmp_path: Path) -> None:
    outcome = run(tmp_path, with_axis(deep()), batch_size=5000, limits=Limits(memory_bytes=2**30))
    assert isinstance(outcome, Failed)
    assert outcome.finding.code == "out_of_memory"


def test_one_operator_that_asks_for_much_is_a_lack_of_memory(tmp_path: Path) -> None:
    greedy = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        greedy (float[batch, 1] x) => (float[batch] y) {
            grown = Expand(x, shape)
            active = Exp(grown)
            y = ReduceSum<keepdims = 0>(active, axis)
        }
    """)
    greedy.graph.initializer.append(numpy_helper.from_array(np.array([1, 2**26], np.int64), "shape"))
    outcome = run(tmp_path, with_axis(greedy), batch_size=64, limits=Limits(memory_bytes=2**30))
    assert isinstance(outcome, Failed)
    assert outcome.finding.code == "out_of_memory"


def test_the_model_that_starts_the_runtime_is_what_it_says() -> None:
    made = ModelProto.FromString(memory._RELU)
    expected = parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) { y = Relu(x) }')
    assert made == expected


def test_memory_that_is_free_but_kept_is_not_in_use() -> None:
    before = Footprint.read()
    block = np.ones(40 * MEGABYTE, np.uint8)
    during = Footprint.read()
    del block
    after = Footprint.read()
    assert (during.in_use_since(before) or 0) > 35 * MEGABYTE
    assert (during.heap_since(before) or 0) > 35 * MEGABYTE
    assert (after.in_use_since(before) or 0) < 10 * MEGABYTE
