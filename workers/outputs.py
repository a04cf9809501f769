"""Which of the models that a job made are kept, and under which ids its report names them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from enxuto.report import (
    BenchmarkReport,
    Candidate,
    CompareReport,
    ModelRef,
    OptimizeReport,
    ProfiledModel,
    ProfileReport,
)
from enxuto.schema import Digest
from enxuto.search.choose import AT


def kept(report: OptimizeReport) -> list[tuple[Candidate, ModelRef]]:
    """Candidates whose models are kept: the winner, the best unproven one, the Pareto front; the same bytes once."""
    names = {report.winner, report.unproven, *report.pareto}
    chosen: dict[Digest, tuple[Candidate, ModelRef]] = {}
    for candidate in report.candidates:
        if candidate.name in names and candidate.model and candidate.model.sha256 != report.model.sha256:
            chosen.setdefault(candidate.model.sha256, (candidate, candidate.model))
    return list(chosen.values())


def name_models(report: OptimizeReport, ids: Mapping[Digest, str]) -> OptimizeReport:
    """The same report, every model that was kept named by its id."""
    baseline = report.baseline.model_copy(update={"model": _named(report.baseline.model, ids)})
    candidates = [
        candidate.model_copy(update={"model": candidate.model and _named(candidate.model, ids)})
        for candidate in report.candidates
    ]
    return report.model_copy(
        update={
            "model": _named(report.model, ids),
            "recommended": _named(report.recommended, ids),
            "baseline": baseline,
            "candidates": candidates,
        }
    )


def name_compared(report: CompareReport, *, model: str, against: str) -> CompareReport:
    return report.model_copy(
        update={
            "model": report.model.model_copy(update={"id": model}),
            "against": report.against.model_copy(update={"id": against}),
        }
    )


def name_benchmarked(report: BenchmarkReport, *, model: str) -> BenchmarkReport:
    return report.model_copy(update={"model": report.model.model_copy(update={"id": model})})


def name_profiled(report: ProfileReport, *, model: str, against: str | None) -> ProfileReport:
    return report.model_copy(
        update={
            "model": report.model.model_copy(update={"id": model}),
            "profile": _profile_named(report.profile, model),
            "against": report.against and _profile_named(report.against, against),
        }
    )


def file_name(original: str, candidate: str) -> str:
    """``resnet.onnx`` and ``static_int8(…)`` → ``resnet.static_int8.onnx``: what a download is called."""
    stem = original.removesuffix(".onnx")[:120]
    recipe = candidate.partition(f" {AT} ")[0]  # settings are no part of a file
    techniques = re.sub(r"\([^)]*\)", "", recipe).split(" → ")
    return f"{stem}.{'.'.join(technique.strip() for technique in techniques)[:120]}.onnx"


def _named(model: ModelRef, ids: Mapping[Digest, str]) -> ModelRef:
    return model.model_copy(update={"id": ids.get(model.sha256)})


def _profile_named(profile: ProfiledModel, id_: str | None) -> ProfiledModel:
    return profile.model_copy(update={"model": profile.model.model_copy(update={"id": id_})})
