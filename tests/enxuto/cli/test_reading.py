"""What was typed is understood, or refused with the option that is at fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from enxuto.cli import reading
from enxuto.goal import Goal, MaxDrop
from enxuto.metric import (
    Agreement,
    BinaryCrossEntropy,
    Expression,
    MeanSquaredError,
    Metric,
    PeakSignalToNoise,
    Spearman,
    TopK,
)
from enxuto.techniques import GraphOptimization, MagnitudePruning, StaticInt8


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("1%", 0.01), ("0.5 %", 0.005), ("0.7%", 0.007), ("0.01", 0.01), ("0", 0.0), ("100%", 1.0)],
)
def test_a_share_is_a_percentage_or_a_number(typed: str, meant: float) -> None:
    assert reading.max_drop(typed, None, False) == MaxDrop(value=meant)


@pytest.mark.parametrize("typed", ["1 percent", "", "%", "1e999%", "nan", "-1%", "101%"])
def test_what_is_no_share_is_refused_by_option(typed: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        reading.max_drop(typed, None, False)
    assert caught.value.param_hint == "--max-drop"


def test_a_limit_may_be_absolute_less_sure_or_none_at_all() -> None:
    assert reading.max_drop("0.2%", "50%", True) == MaxDrop(value=0.002, relative=False, confidence=0.5)
    assert reading.max_drop(None, "99%", False) == MaxDrop(confidence=0.99)
    assert reading.max_drop("none", None, False) is None


@pytest.mark.parametrize(
    ("typed", "meant"), [("90", 90), ("90s", 90), ("1.5m", 90), ("10min", 600), ("2h", 7200), (None, None)]
)
def test_a_time_has_a_unit_or_is_in_seconds(typed: str | None, meant: float | None) -> None:
    assert reading.seconds(typed) == meant


@pytest.mark.parametrize("typed", ["soon", "-5", "5d", "1h30m"])
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(typer.BadParameter, match="no time"):
        reading.seconds(typed)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("top_k", TopK()),
        ("top_k:5", TopK(k=5)),
        ("mean_squared_error", MeanSquaredError()),
        ("agreement", Agreement()),
        ("agreement:cosine", Agreement(by="cosine")),
        ('{"kind": "top_k", "k": 3, "output": "scores"}', TopK(k=3, output="scores")),
        ("spearman", Spearman()),
        ("psnr:255", PeakSignalToNoise(peak=255)),
        ("binary_cross_entropy:logits", BinaryCrossEntropy(of="logits")),
        ("expression: mean(output[:, 1:3])", Expression(expression="mean(output[:, 1:3])")),
    ],
)
def test_a_metric_is_a_word_or_json(typed: str, meant: Metric) -> None:
    assert reading.metric(typed) == meant


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("accuracy", "top_k"),
        ("top_k:0", "greater than"),
        ("top_k:five", "valid integer"),
        ("perplexity:2", "no such field"),
        ("expression:mean(outputs)", "outputs.NAME"),
        ("{", "JSON"),
    ],
)
def test_an_unknown_metric_is_refused_with_what_there_is(typed: str, told: str) -> None:
    with pytest.raises(typer.BadParameter, match=told):
        reading.metric(typed)


def test_a_metric_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "metric.json").write_text('{"kind": "spearman", "output": "embedding"}')
    assert reading.metric(str(tmp_path / "metric.json")) == Spearman(output="embedding")


def test_a_recipe_is_kinds_or_json_or_a_file(tmp_path: Path) -> None:
    both = [GraphOptimization(), StaticInt8()]
    assert reading.recipe("graph_optimization, static_int8") == both
    document = [{"kind": "magnitude_pruning", "ratio": 0.5}, {"kind": "static_int8"}]
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(document))
    assert reading.recipe(str(file)) == reading.recipe(json.dumps(document)) == [MagnitudePruning(ratio=0.5), both[1]]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("static_int9", "static_int8"),
        ('[{"kind": "static_int8", "percentile": 200}]', "percentile: .*less than or equal to 100"),
        ('[{"kind": "static_int8", "percentil": 99}]', "percentil: .*no such field"),
        ("[]", "at least 1"),
        ("missing.json", "cannot be read"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_with_the_place(typed: str, told: str) -> None:
    with pytest.raises(typer.BadParameter, match=told) as caught:
        reading.recipe(typed)
    assert caught.value.param_hint == "--recipe"


def test_a_file_that_is_not_text_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(typer.BadParameter, match="not text"):
        reading.recipe(str(tmp_path / "recipe.json"))


def test_dimensions_are_named() -> None:
    assert reading.workload(8, 2, ["sequence=128", "a=b=3"]).dims == {"sequence": 128, "a=b": 3}
    with pytest.raises(typer.BadParameter, match="NAME=SIZE"):
        reading.workload(1, 1, ["sequence:128"])


def test_a_bound_of_the_library_is_told_by_option() -> None:
    with pytest.raises(typer.BadParameter, match="greater than 0") as caught:
        reading.valid(Goal, minimize="size", p95_ms=-1.0)
    assert caught.value.param_hint == "--p95-ms"
    with pytest.raises(typer.BadParameter, match=r"^give either minimize or maximize, not both$"):
        reading.valid(Goal, minimize="size", maximize="throughput")
