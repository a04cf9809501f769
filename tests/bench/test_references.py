"""The comparison with other people's code: it says what is missing, and really asks a reference that is there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from bench.references import cross_layer, histograms, squant
from bench.references.__main__ import METHODS
from bench.references.case import Real, sqnr_db
from bench.references.place import NotThere, Place, Reference
from bench.references.table import Row, table
from enxuto.graph.optimize import optimized
from tests.support import tiny_models
from tests.support.batches import samples_for

HERE = Path(sys.executable)


def small_network() -> Real:
    proto = tiny_models.convnet()
    samples = samples_for(proto, 32)
    return Real("small", optimized(ir.from_proto(proto)), samples, samples)


def test_a_package_that_is_missing_is_named_with_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"aimet-onnx not installed: .* -m pip install aimet-onnx"):
        Place(HERE, tmp_path).version(cross_layer.REFERENCE)


def test_a_clone_that_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    there = Reference("clevercool/SQuant", "SQuant", ("numpy",), squant.REFERENCE.commit)
    with pytest.raises(NotThere, match=r"git clone https://github.com/clevercool/SQuant .* checkout 9cc77fc"):
        Place(HERE, tmp_path).version(there)


def test_an_interpreter_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="no interpreter at"):
        Place(tmp_path / "python", tmp_path).version(histograms.REFERENCE)


def test_a_reference_that_is_there_is_asked_and_agrees(tmp_path: Path) -> None:
    place = Place(HERE, tmp_path)
    assert place.version(histograms.REFERENCE)
    random = np.random.default_rng(0)
    array = random.standard_normal((8, 4, 30, 30)).astype(np.float32)
    found = place.ask(histograms.REFERENCE, {"x": array, "|bins": np.array(2048), "|percentile": np.array(99.9)})
    low, high = found["x|percentile"]
    assert (low, high) == pytest.approx(np.percentile(array, [0.05, 99.95]), abs=0.02)
    words = list(histograms.compare(small_network(), place))
    assert [line.partition(":")[0] for line in words] == ["entropy", "percentile"]


def test_a_script_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"by_onnxruntime.py ended with: KeyError: '\|bins'"):
        Place(HERE, tmp_path).ask(histograms.REFERENCE, {"x": np.zeros((2, 2), np.float32)})


def test_methods_suit_the_networks_that_they_are_for() -> None:
    model = small_network().model
    assert {name for name, module in METHODS.items() if module.suits(model)} >= {"squant", "squared_error", "bias"}
    assert not METHODS["smooth_quant"].suits(model)


def test_noise_of_a_tenth_is_twenty_decibels() -> None:
    signal = np.ones((3, 4), np.float32)
    assert sqnr_db([signal * np.float32(1.1)], [signal]) == pytest.approx(20, abs=1e-4)


def test_rows_stand_in_a_table() -> None:
    row = Row("GPTQ", "IST-DASLab/gptq 2d65066", "encoder", "all integers equal")
    assert table([row]).splitlines()[2] == "| GPTQ | IST-DASLab/gptq 2d65066 | encoder | all integers equal |"
