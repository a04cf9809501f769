"""The table in a terminal: every candidate, whatever the width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from enxuto.render.sides import sides
from enxuto.render.table import print_report
from enxuto.report import CompareReport, Confirmation, Measurements, OptimizeReport
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from tests.support.reports import candidates, compare_report, optimize_report, searched_report, without_data


def printed(report: OptimizeReport | CompareReport, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_report(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def line_with(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def test_the_winner_stands_out_and_its_confirmation_follows() -> None:
    lines = printed(optimize_report()).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("★"))
    assert "graph_optimization → static_int8" in lines[at]
    assert "1.86× [1.82–1.90]  0.437 ms  1.24 MB  0.9800    0.34 % [0.92 %]   29.4 dB  feasible" in lines[at]
    assert lines[at + 1].strip().startswith("confirmed")
    assert "1.84× [1.81–1.87]" in lines[at + 1]
    assert "0.57 %" in lines[at + 1]
    assert "900 new samples" in lines[at + 1]


def test_what_was_found_beside_the_verdict_stands_in_lines() -> None:
    text = " ".join(printed(searched_report()).split())
    for fact in (
        "in the way: the limit on what may be lost: without it a candidate would do.",
        "nearest, graph_optimization: loses 2.3 %, at most 1 % is allowed (2.3 times the limit).",
        "graph_optimization loses most at: block1/conv1 (Conv, −16.2 dB).",
        "x86 without VNNI: does not hold its accuracy.",
        "data, evaluation: 12 of 1,400 samples stand twice.",
    ):
        assert fact in text


def test_every_candidate_that_is_out_says_why() -> None:
    text = " ".join(printed(optimize_report()).split())
    for one in candidates():
        assert not one.reason or f"{one.name} ({one.outcome.replace('_', ' ')}): {one.reason}" in text


def test_a_reason_that_candidates_share_is_told_once() -> None:
    first, *rest = candidates()
    late = [
        first.model_copy(update={"name": name, "outcome": "skipped", "reason": "the deadline came first"})
        for name in ("half_weights", "weight_only")
    ]
    text = " ".join(printed(optimize_report(candidates=[first, *late, *rest])).split())
    assert text.count("the deadline came first") == 1
    assert "half_weights, weight_only (skipped): the deadline came first" in text


def test_a_metric_of_fewer_samples_than_the_originals_says_so() -> None:
    first, *rest = candidates()
    looked = first.model_copy(update={"selection": first.selection.model_copy(update={"samples": 48})})
    text = printed(optimize_report(candidates=[looked, *rest]), 200)
    assert [first.name in line for line in text.splitlines() if "0.9833*" in line] == [True]
    assert "* of a first look at fewer samples" in " ".join(text.split())
    assert "*" not in printed(optimize_report(), 200)


def test_the_verdict_comes_last_in_a_sentence() -> None:
    text = " ".join(printed(optimize_report()).split())
    assert f"▲ improved: {optimize_report().why}" in text
    assert text.endswith(
        "Batch 1, one thread, onnxruntime or openvino, on AMD EPYC 9354P 32-Core Processor; 38.4 s of work."
    )


@pytest.mark.parametrize("width", [72, 80, 100, 140, 200])
def test_no_line_is_wider_than_the_terminal_and_the_speedup_stays(width: int) -> None:
    text = printed(optimize_report(), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "1.86× [1.82–1.90]" in text


def test_without_data_there_is_no_column_of_accuracy() -> None:
    text = printed(without_data())
    assert "SQNR" not in text
    assert line_with(text, "?  graph_optimization → static_int8")


def test_a_comparison_shows_its_four_sides_and_whether_it_passed() -> None:
    text = printed(compare_report(), 80)
    assert line_with(text, "speed").split()[:3] == ["speed", "▲", "improved"]
    assert "✗ no" in line_with(text, "accuracy")
    assert "−0.35 % to 0.57 %" in line_with(text, "accuracy")
    assert "▲ improved  ✗ not passed:" in text


def test_what_is_copied_out_of_a_terminal_can_be_searched() -> None:
    compared = compare_report().model_copy(update={"why": "accuracy: loses 0.12\u00a0%."})
    assert "loses 0.12 %." in printed(compared)
    assert "\u00a0" not in printed(compared) + printed(optimize_report())


def test_a_comparison_names_what_each_model_was_run_by() -> None:
    asked = compare_report().request.model_copy(
        update={"settings": OpenVinoSettings(), "against_settings": OnnxRuntimeSettings()}
    )
    text = " ".join(printed(compare_report(request=asked), width=1000).split())
    assert "OpenVINO against ONNX Runtime, on" in text
    assert "openvino or" not in text.lower()


def test_a_comparison_says_each_thing_once() -> None:
    told = [side.axis.detail for side in sides(compare_report())]
    text = printed(compare_report().model_copy(update={"why": "; ".join(told)}), width=1000)
    assert [text.count(one) for one in told] == [1] * len(told)


def test_markup_in_a_name_is_only_text() -> None:
    first, *rest = candidates()
    hostile = first.model_copy(update={"name": "[bold]a[/bold][link=x]", "reason": "[red]b[/nothing]"})
    text = printed(optimize_report(candidates=[hostile, *rest]))
    assert "[bold]a[/bold][link=x]" in text
    assert "[red]b[/nothing]" in text


def test_a_recipe_that_was_not_proven_gets_no_star() -> None:
    report = optimize_report(verdict="inconclusive")
    lines = printed(report).splitlines()
    assert not any(line.startswith("★") for line in lines)
    asked = next(line for line in lines if line.startswith("?"))
    assert "graph_optimization → static_int8" in asked
    assert any(line.strip().startswith("not confirmed") for line in lines)
    assert "★" not in printed(optimize_report(verdict="regressed"))


def test_each_look_says_what_it_was_held_to_and_only_the_one_that_is_proven_is_called_confirmed() -> None:
    report = optimize_report()
    first, second = report.candidates[0], report.candidates[1]
    looked = first.model_copy(update={"confirmation": second.confirmation})
    looks = [
        Confirmation(candidate=first.name, confidence=0.96, baseline=Measurements(), verdict="inconclusive", why="No."),
        Confirmation(candidate=second.name, confidence=0.99, baseline=Measurements(), verdict="improved", why="Yes."),
    ]
    text = printed(optimize_report(candidates=[looked, *report.candidates[1:]], confirmations=looks))
    assert "900 new samples, 96 %" in line_with(text, "not confirmed")
    assert "900 new samples, 99 %" in line_with(text, "confirmed")
    assert "is for the confirmation to prove" not in printed(without_data())
