"""What a job made is kept where it is worth it, and named in the report."""

from __future__ import annotations

from enxuto.report import ModelRef
from tests.support import reports
from workers.outputs import file_name, kept, name_benchmarked, name_compared, name_models, name_profiled


def test_the_winner_and_the_front_are_kept_and_the_original_is_not_kept_again() -> None:
    report = reports.optimize_report()
    names = {candidate.name for candidate, _ in kept(report)}
    assert report.winner in names
    assert names == {report.winner, *report.pareto} - {"original"}


def test_the_best_unproven_candidate_is_kept() -> None:
    report = reports.optimize_report()
    loser = next(c for c in report.candidates if c.model and c.name not in {report.winner, *report.pareto})
    unproven = report.model_copy(update={"unproven": loser.name})
    assert loser.name in {candidate.name for candidate, _ in kept(unproven)}


def test_the_same_bytes_are_kept_once() -> None:
    report = reports.optimize_report()
    twin = next(c for c in report.candidates if c.name == report.winner)
    copy = twin.model_copy(update={"name": "twin"})
    doubled = report.model_copy(update={"candidates": [*report.candidates, copy], "pareto": [*report.pareto, "twin"]})
    files = [file.sha256 for _, file in kept(doubled)]
    assert len(files) == len(set(files))


def test_a_model_that_wins_under_other_settings_is_kept_under_the_name_of_what_made_it() -> None:
    report = reports.optimize_report()
    base = next(c for c in report.candidates if c.name == report.winner)
    variant = base.model_copy(update={"name": f"{base.name} @ openvino"})
    original = base.model_copy(update={"name": "original @ openvino", "recipe": [], "model": report.model})
    candidates = [*report.candidates, variant, original]
    tuned = report.model_copy(
        update={"candidates": candidates, "pareto": [*report.pareto, base.name, variant.name, original.name]}
    )
    names = [candidate.name for candidate, _ in kept(tuned)]
    assert base.name in names
    assert not any("@" in name for name in names)
    assert file_name("resnet.onnx", f"{base.name} @ openvino bf16") == file_name("resnet.onnx", base.name)


def test_every_model_of_the_report_that_was_kept_goes_by_its_id() -> None:
    report = reports.optimize_report()
    ids = {file.sha256: f"mdl_{number}" for number, (_, file) in enumerate(kept(report))}
    named = name_models(report, {**ids, report.model.sha256: "mdl_original"})
    assert named.model.id == named.baseline.model.id == "mdl_original"
    assert named.recommended.id == ids[report.recommended.sha256]
    seen = {c.model.sha256: c.model.id for c in named.candidates if c.model}
    assert seen == {sha256: ids.get(sha256) for sha256 in seen}


def test_both_sides_of_a_comparison_go_by_the_ids_that_were_asked_for() -> None:
    named = name_compared(reports.compare_report(), model="mdl_b", against="mdl_a")
    assert (named.model.id, named.against.id) == ("mdl_b", "mdl_a")


def test_the_model_of_a_benchmark_and_both_of_a_profile_go_by_their_ids() -> None:
    assert name_benchmarked(reports.benchmark_report(), model="mdl_a").model.id == "mdl_a"
    named = name_profiled(reports.profile_of_two(), model="mdl_a", against="mdl_b")
    assert named.against
    assert (named.model.id, named.profile.model.id, named.against.model.id) == ("mdl_a", "mdl_a", "mdl_b")
    assert name_profiled(reports.profile_report(), model="mdl_a", against=None).against is None


def test_a_download_is_called_after_the_original_and_its_techniques() -> None:
    assert file_name("resnet.onnx", "magnitude_pruning(ratio=0.5) → static_int8") == (
        "resnet.magnitude_pruning.static_int8.onnx"
    )
    assert len(file_name("x" * 255 + ".onnx", "static_int8 → " * 30)) <= 255
    assert ModelRef(sha256="a" * 64, size_bytes=1).id is None
