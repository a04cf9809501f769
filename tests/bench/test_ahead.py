"""The benchmark that holds us against other tools: who is counted for a cell of the bar, and what is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest

from bench.ahead.bar import bar_of
from bench.ahead.cases import find_cases
from bench.ahead.ir import load_any
from bench.ahead.make import MINE, Kitchen, Made
from bench.ahead.measure import Judge, Row, is_disturbed, spread
from bench.ahead.ours import Wanted
from bench.ahead.runner import Workplace, files_of, size_of
from bench.ahead.table import cells, table
from bench.cost import exponent, network
from bench.peers.listed import HERE, PEERS
from enxuto.report import Latency
from enxuto.runtimes import load_model
from enxuto.search.timing import Timed
from enxuto.settings import OpenVinoSettings
from enxuto.steps import Drop, Estimate, Evaluation, Fidelity, Subject
from tests.support import tiny_models


def _case(folder: Path, settings: dict[str, object] | None = None) -> Path:
    """A case whose labels are what the model says."""
    (folder / "data").mkdir(parents=True)
    path = tiny_models.save(tiny_models.convnet(), folder / "model.onnx")
    images = np.random.default_rng(0).standard_normal((24, 3, 8, 8), dtype=np.float32)
    [scores] = load_model(path).run({"image": images})
    np.savez(folder / "data" / "eval.npz", image=images, labels=scores.argmax(axis=1))
    np.savez(folder / "data" / "calib.npz", image=images[:8])
    if settings is not None:
        (folder / "enxuto.json").write_text(json.dumps(settings))
    return path


def _timed(wall: float, cpu: float | None = None) -> Timed:
    def around(value: float) -> Estimate:
        return Estimate(value=value, low=value * 0.99, high=value * 1.01, confidence=0.95)

    latency = Latency.model_construct(p50_ms=1.0)
    return Timed(latency, around(wall), around(cpu or wall), [wall * 0.98, wall, wall * 1.02])


def _row(method: str, *, tool: str = MINE, size: int = 300_000, ratios: dict[int, float], bound: float = 0.005) -> Row:
    drop = Drop(
        value=bound / 2, low=0.0, high=bound, confidence=0.95, relative=True, method="paired_score", samples=9,
        worse=0, better=0,
    )  # fmt: skip
    fidelity = Fidelity(sqnr_db=31.0, cosine=1.0, agreement=1.0)
    evaluation = Evaluation(
        metric_value=0.9, samples=9, drop=drop, fidelity=fidelity, scores_file="scores.npy", outputs_files={}
    )
    made = Made(tool, method, Path("model.onnx"), size, cpu_s=1.2, peak_bytes=1)
    timed = {batch: _timed(ratio) for batch, ratio in ratios.items()}
    return Row(made, Subject(model="0" * 64), "onnxruntime", size, evaluation, timed)


def _original() -> Row:
    return Row(None, Subject(model="0" * 64), "onnxruntime", 1_100_000, timed={1: _timed(1.0)})


def test_each_cell_of_the_bar_goes_to_the_best_of_ours_that_holds_its_accuracy() -> None:
    quick = _row("latency", size=500_000, ratios={1: 2.5, 8: 3.1, 64: 3.4})
    lean = _row("static_int8", size=310_000, ratios={1: 2.0, 8: 2.2})
    ruined = _row("size", size=100_000, ratios={1: 9.0, 8: 9.0}, bound=0.5)
    peer = _row("ir", tool="nncf", size=200_000, ratios={1: 8.0, 8: 8.0})
    found = {cell.column: cell for cell in cells("resnet20-cifar10", _original(), [quick, lean, ruined, peer])}
    assert [cell.held for cell in found.values()] == [True] * 5
    assert found["speed at batch 1"].reached == "2.50×"
    assert found["best batched speed"].reached == "3.40×"
    assert (found["MB"].reached, found["MB"].by) == ("0.310", "enxuto static_int8, onnxruntime")
    slow = {cell.column: cell.held for cell in cells("resnet20-cifar10", _original(), [lean, ruined, peer])}
    assert not slow["speed at batch 1"]
    assert not slow["best batched speed"]


def test_without_numbers_of_its_own_a_case_is_held_against_the_best_sound_peer() -> None:
    ours = _row("latency", size=400_000, ratios={1: 1.5, 8: 2.0})
    better = _row("ir", tool="nncf", size=390_000, ratios={1: 1.8, 8: 1.9})
    ruined = _row("static", tool="neural_compressor", size=100_000, ratios={1: 4.0, 8: 4.0}, bound=0.6)
    found = {cell.column: cell for cell in cells("unheard-of", _original(), [ours, better, ruined])}
    assert found["speed at batch 1"].held is False
    assert found["speed at batch 1"].asked == "1.80 of nncf ir"
    assert found["best batched speed"].held is True
    assert found["original's bytes over its"].held is True, "2.75 and 2.82 differ by less than the margin"
    assert found["never slower"].held is True


def test_a_case_may_carry_more_in_its_name_than_the_bar() -> None:
    assert bar_of("mobilenetv2-f32") == bar_of("mobilenetv2")
    assert bar_of("mobilenetv2x") is None


def test_where_a_neighbor_took_the_core_the_lower_ratio_stands() -> None:
    row = _row("latency", ratios={})
    row.timed[8] = _timed(4.5, cpu=2.2)
    assert row.ratio(8) == 2.2
    assert is_disturbed(row.timed[8])
    assert not is_disturbed(_timed(2.2, cpu=2.25))
    assert spread(row.timed[8]) == pytest.approx(0.02, rel=0.01)


def test_openvinos_own_form_answers_as_the_onnx_file_does(tmp_path: Path) -> None:
    onnx = tiny_models.save(tiny_models.convnet(), tmp_path / "model.onnx")
    openvino.save_model(openvino.Core().read_model(onnx), tmp_path / "ir.xml", compress_to_fp16=False)
    model = load_any(tmp_path / "ir.xml", OpenVinoSettings())
    feeds = {"image": np.random.default_rng(1).standard_normal((3, 3, 8, 8), dtype=np.float32)}
    assert [spec.name for spec in (*model.inputs, *model.outputs)] == ["image", "scores"]
    for _ in range(2):  # the second call goes another way
        np.testing.assert_allclose(model.run(feeds)[0], load_model(onnx).run(feeds)[0], atol=1e-5)
    assert files_of(tmp_path / "ir.xml") == [tmp_path / "ir.xml", tmp_path / "ir.bin"]
    assert size_of(tmp_path / "ir.xml") > (tmp_path / "ir.bin").stat().st_size


def test_models_of_any_form_are_judged_and_timed_beside_the_original(tmp_path: Path) -> None:
    onnx = _case(tmp_path / "cases" / "tiny")
    [case] = find_cases(tmp_path / "cases", None, None)
    folder = tmp_path / "made"
    folder.mkdir()
    openvino.save_model(openvino.Core().read_model(onnx), folder / "model.xml", compress_to_fp16=False)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    made = [
        Made("nncf", "ir", folder / "model.xml", size_of(folder / "model.xml"), 1.0, 1),
        Made("olive", "rtn", tmp_path / "broken.onnx", 8, 1.0, 1),
        Made("onnxruntime", "dynamic", None, 0, 1.0, 1, note="it did not like it"),
    ]
    judge = Judge(Workplace(tmp_path / "work", None), case)
    rows = [row for row in judge.rows(made) if row.made and (row.runtime, row.name) != ("openvino f32", "olive rtn")]
    for row in rows:
        if not row.reason:
            judge.evaluate(row)
    assert list(judge.time(rows, 2, loads=3, rounds=2))
    seen = {(row.name, row.runtime): row for row in rows}
    ir = seen["nncf ir", "openvino f32"]
    assert ir.evaluation is not None
    assert ir.evaluation.drop is not None
    assert ir.evaluation.drop.worse == 0
    assert ir.timed[2].speedup.value > 0
    assert "cannot load" in seen["olive rtn", "onnxruntime"].reason
    told = table("tiny", judge.original, rows, [2])
    assert "it did not like it" in told
    assert "nncf ir" in told


def test_one_recipe_alone_is_made_and_its_cost_told(tmp_path: Path) -> None:
    _case(tmp_path / "cases" / "tiny", {"metric": {"kind": "top_k", "k": 2}})
    [case] = find_cases(tmp_path / "cases", None, ["tiny"])
    assert case.settings.metric is not None
    place = Workplace(tmp_path / "work", None)
    kitchen = Kitchen(tmp_path, case, Judge(place, case).model.inspection)
    [made] = kitchen.mine(["static_int8"], again=True)
    assert made.model is not None, made.note
    assert 0.1 < made.cpu_s < 60
    assert made.settings is None


def test_a_peer_that_fails_says_why_and_leaves_no_model(tmp_path: Path) -> None:
    script = tmp_path / "by_nobody.py"
    script.write_text(
        f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from job import Job, main

def half(job: Job) -> None:
    (job.out / "model.onnx").write_bytes(b"half of it")
    raise RuntimeError(f"gave up after {{len(job.feeds())}} samples")

def whole(job: Job) -> None:
    (job.out / "model.onnx").write_bytes(b"all of it")

main({{"half": half, "whole": whole}})
"""
    )
    np.savez(tmp_path / "calib.npz", x=np.zeros((3, 2), np.float32))
    for method, code in (("half", 1), ("whole", 0)):
        command = [sys.executable, str(script), method, "model.onnx", str(tmp_path / method)]
        assert subprocess.run([*command, "--calibration", str(tmp_path / "calib.npz")], check=False).returncode == code
    half, whole = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("half", "whole"))
    assert half["error"] == "RuntimeError: gave up after 3 samples"
    assert not (tmp_path / "half" / "out").exists()
    assert whole["error"] is None
    assert (tmp_path / "whole" / "out" / "model.onnx").read_bytes() == b"all of it"
    assert whole["cpu_s"] > 0
    assert whole["peak_bytes"] > 1_000_000


def test_every_peer_has_a_script_and_says_what_it_needs() -> None:
    for peer in PEERS:
        text = peer.script.read_text()
        assert all(f'"{method.name}"' in text for method in peer.methods)
        assert "==" in peer.requirements.read_text()


def test_a_case_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no case mobile"):
        find_cases(tmp_path, None, ["mobile"])


def test_wanted_survives_its_way_to_another_process(tmp_path: Path) -> None:
    _case(tmp_path / "tiny", {"preprocessing": {"image": {"scale": 2.0, "from": "NHWC", "to": "NCHW"}}})
    [case] = find_cases(tmp_path, None, None)
    wanted = Wanted(model="m", evaluation=None, calibration=None, settings=case.settings)
    assert Wanted.model_validate_json(wanted.model_dump_json(by_alias=True)) == wanted


@pytest.mark.parametrize(("power", "fixed"), [(0.0, 3.0), (1.0, 0.5), (2.0, 0.1)])
def test_an_exponent_is_found_again(power: float, fixed: float) -> None:
    factors = [1.0, 2.0, 4.0, 8.0]
    assert exponent(factors, [fixed * factor**power for factor in factors]) == pytest.approx(power, abs=1e-9)


def test_no_exponent_where_a_run_costs_nothing() -> None:
    assert exponent([1.0, 2.0], [0.0, 1.0]) is None


def test_weights_of_made_up_networks_grow_as_they_are_asked_to() -> None:
    def weights(layers: int, channels: int) -> int:
        return sum(int(np.prod(each.dims)) for each in network(layers, channels).graph.initializer)

    assert weights(16, 32) / weights(8, 32) == pytest.approx(2, rel=0.2)
    assert weights(8, 64) / weights(8, 32) == pytest.approx(4, rel=0.1)
