"""The winner's settings come with a loader that knows nothing of Enxuto, and runs the model as it was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from enxuto.deliver import files_of
from enxuto.deliver.settings import LOADER_FILE, SETTINGS_FILE, files_for
from enxuto.options import onnxruntime_options, openvino_config
from enxuto.runtimes import load_model
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from tests.support import reports, tiny_models

_USE = """
import json, sys
import numpy as np
from load_model import load
model = load("optimized.onnx", "settings.json")
feeds = {"image": np.load("image.npy")}
first, again = model.run(feeds), model.run(feeds)
assert isinstance(first, list) and np.array_equal(first[0], again[0])
np.save("scores.npy", first[0])
wrong = {"image": np.zeros((2, 5, 8, 8), np.float32)}
try:
    model.run(wrong)
except Exception:
    print("refused", *sorted(name for name in sys.modules if name.partition(".")[0] == "enxuto"))
"""


def delivered(folder: Path, settings: RunSettings, threads: int = 1) -> None:
    tiny_models.save(tiny_models.convnet(), folder / "optimized.onnx")
    for name, text in files_for(settings, threads=threads, libraries={"onnxruntime": "1", "openvino": "2"}).items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "threads"),
    [
        (OnnxRuntimeSettings(), 1),
        (OnnxRuntimeSettings(spinning=False, arena=False, graph_level="basic", execution_mode="parallel"), 2),
        (OpenVinoSettings(), 1),
        (OpenVinoSettings(streams=2, dynamic_quantization=True), 2),
        (OpenVinoSettings(fixed_shapes=True), 1),
    ],
)
def test_the_loader_runs_the_model_as_it_was_measured(tmp_path: Path, settings: RunSettings, threads: int) -> None:
    delivered(tmp_path, settings, threads)
    image = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    ran = subprocess.run(
        [sys.executable, "-c", _USE], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    assert ran.stdout.split() == ["refused"], ran.stderr
    (expected,) = load_model(tmp_path / "optimized.onnx", settings, threads).run({"image": image})
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, rtol=1e-5, atol=1e-6)


def test_settings_stand_under_the_runtimes_own_names() -> None:
    files = files_for(OnnxRuntimeSettings(spinning=False), threads=3, libraries={"onnxruntime": "1.31.1"})
    told = json.loads(files[SETTINGS_FILE])
    assert (told["runtime"], told["measured_with"]) == ("onnxruntime", "1.31.1")
    assert told["session_options"] == onnxruntime_options(OnnxRuntimeSettings(), 3)
    assert told["session_config"]["session.intra_op.allow_spinning"] == "0"
    told = json.loads(files_for(OpenVinoSettings(precision="bf16"), threads=2, libraries={})[SETTINGS_FILE])
    assert told["config"] == openvino_config(OpenVinoSettings(precision="bf16"), 2)
    assert told["config"]["INFERENCE_PRECISION_HINT"] == "bf16"


def test_threads_of_the_settings_go_before_those_of_the_workload() -> None:
    told = json.loads(files_for(OnnxRuntimeSettings(threads=1), threads=8, libraries={})[SETTINGS_FILE])
    assert told["session_options"]["intra_op_num_threads"] == 1


def test_an_optimization_delivers_the_winners_settings() -> None:
    report = reports.optimize_report()
    winner = next(candidate for candidate in report.candidates if candidate.name == report.winner)
    changed = winner.model_copy(update={"settings": OpenVinoSettings(precision="bf16")})
    others = [candidate for candidate in report.candidates if candidate.name != report.winner]
    files = files_of(report.model_copy(update={"candidates": [*others, changed]}))
    assert set(files) == {SETTINGS_FILE, LOADER_FILE}
    assert json.loads(files[SETTINGS_FILE])["config"]["INFERENCE_PRECISION_HINT"] == "bf16"


def test_an_original_that_stays_is_delivered_with_the_settings_it_was_measured_under() -> None:
    report = reports.optimize_report().model_copy(update={"winner": None})
    openvino_first = report.workload.model_copy(update={"runtimes": ["openvino"]})
    told = json.loads(files_of(report.model_copy(update={"workload": openvino_first}))[SETTINGS_FILE])
    assert told["runtime"] == "openvino"


def test_the_loader_is_a_few_lines() -> None:
    lines = files_for(OnnxRuntimeSettings(), threads=1, libraries={})[LOADER_FILE].splitlines()
    assert len(lines) < 80
    assert not any("enxuto" in line.lower() for line in lines)
