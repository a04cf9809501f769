"""What each kind of job does, from its request to its ending."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from app.api.schemas import Lineage
from app.core.endings import Ending, FileRole, JobFile, Output
from app.core.ids import new_id
from app.core.leases import Lease
from app.core.peaks import known_peaks
from app.core.records import Document
from app.core.results import result_of
from app.core.several import File
from enxuto.machine import this_machine
from enxuto.report import Candidate, OptimizeReport, Report
from enxuto.request import BenchmarkOptions, CompareOptions, OptimizeOptions, ProfileOptions
from enxuto.schema import Digest, Value
from enxuto.search import benchmark as benchmarking
from enxuto.search import compare as comparing
from enxuto.search import inspect as inspecting
from enxuto.search import optimize as optimizing
from enxuto.search import profile as profiling
from enxuto.search.plan import PlanFailed
from enxuto.search.render import RenderedReport, render_report
from enxuto.signature import DatasetInput, ModelInput
from enxuto.steps import Peaks
from workers.bench import Bench
from workers.inputs import load_earlier, load_model, load_role
from workers.inspections import inspect
from workers.outputs import file_name, kept, name_benchmarked, name_compared, name_models, name_profiled
from workers.raw_files import raw_files

V = TypeVar("V", bound=Value)

_log = structlog.get_logger(__name__)


def optimize(bench: Bench) -> Ending:
    """Search for a leaner model, keep what is worth keeping, report."""
    lease = bench.lease
    with bench.parts.reading() as session:
        model = load_model(session, lease.tenant, lease.request["model"])
        roles = {role: load_role(session, lease.tenant, lease.request, role) for role in ("evaluation", "calibration")}
        earlier = load_earlier(session, bench.parts.blobs, lease.tenant, lease.request.get("earlier"))
    _keep_inputs(bench, [model], [dataset for dataset in roles.values() if dataset])
    options = _options(OptimizeOptions, lease.request)
    plan = optimizing.optimize(options, model, roles["evaluation"], roles["calibration"], this_machine(), earlier)
    report = bench.search(plan)
    report = report.model_copy(update={"earlier": lease.request.get("earlier")})
    outputs = _outputs(bench, report)
    ids = {output.sha256: output.id for output in outputs}
    report = name_models(report, {**ids, model.file: lease.request["model"]})
    return _reported(bench, report, outputs)


def compare(bench: Bench) -> Ending:
    """Judge one model against another."""
    lease = bench.lease
    with bench.parts.reading() as session:
        model = load_model(session, lease.tenant, lease.request["model"])
        against = load_model(session, lease.tenant, lease.request["against"])
        evaluation = load_role(session, lease.tenant, lease.request, "evaluation")
    _keep_inputs(bench, [model, against], [evaluation] if evaluation else [])
    options = _options(CompareOptions, lease.request)
    report = bench.search(comparing.compare(options, model, against, evaluation, this_machine()))
    report = name_compared(report, model=lease.request["model"], against=lease.request["against"])
    return _reported(bench, report)


def benchmark(bench: Bench) -> Ending:
    """Measure how a model carries load."""
    lease = bench.lease
    with bench.parts.reading() as session:
        model = load_model(session, lease.tenant, lease.request["model"])
        samples = load_role(session, lease.tenant, lease.request, "evaluation")
    _keep_inputs(bench, [model], [samples] if samples else [])
    options = _options(BenchmarkOptions, lease.request)
    report = bench.search(benchmarking.benchmark(options, model, samples, this_machine()))
    return _reported(bench, name_benchmarked(report, model=lease.request["model"]))


def profile(bench: Bench) -> Ending:
    """Find where the time of a model's calls goes, against what this kind of machine was found to do at most."""
    lease, against_id = bench.lease, bench.lease.request.get("against")
    with bench.parts.reading() as session:
        model = load_model(session, lease.tenant, lease.request["model"])
        against = load_model(session, lease.tenant, against_id) if against_id else None
        samples = load_role(session, lease.tenant, lease.request, "evaluation")
    _keep_inputs(bench, [model, against] if against else [model], [samples] if samples else [])
    options, fingerprint = _options(ProfileOptions, lease.request), this_machine().fingerprint
    with bench.parts.reading() as session:
        peaks = known_peaks(session, fingerprint, options.threads)
    report = bench.search(profiling.profile(options, model, against, samples, this_machine(), peaks))
    report = name_profiled(report, model=lease.request["model"], against=against_id)
    return _reported(bench, report, peaks=None if peaks else {fingerprint: report.peaks})


KINDS: Mapping[str, Callable[[Bench], Ending]] = {
    "inspect": inspect,
    "optimize": optimize,
    "compare": compare,
    "benchmark": benchmark,
    "profile": profile,
}


def _options(kind: type[V], request: Document) -> V:
    """The part of a request that the library knows; ids, roles and target belong to the service."""
    return kind.model_validate_json(json.dumps({k: v for k, v in request.items() if k in kind.model_fields}))


def _keep_inputs(bench: Bench, models: list[ModelInput], datasets: list[DatasetInput]) -> None:
    """Whoever deletes a model or dataset meanwhile does not take it from the job."""
    files = {model.file for model in models}
    weights = {digest for file in files for digest in bench.parts.blobs.beside(file)}
    bench.keep(files | weights | {array for dataset in datasets for array in dataset.arrays.values()})


def _outputs(bench: Bench, report: OptimizeReport) -> list[Output]:
    blobs = bench.parts.blobs
    candidates = [(each, file) for each, file in kept(report) if blobs.holds(file.sha256)]
    names = [file_name(report.model_name, candidate.name) for candidate, _ in candidates]
    inspections = bench.complete_all(
        [
            inspecting.inspect_model(file.sha256, name, blobs.beside(file.sha256))
            for (_, file), name in zip(candidates, names, strict=True)
        ]
    )
    return [
        Output(
            id=new_id("mdl"),
            name=name,
            sha256=file.sha256,
            size_bytes=blobs.size_bytes(file.sha256),
            inspection=seen.inspection,
            lineage=_lineage(bench.lease, candidate),
            beside={digest: File(digest, blobs.size_bytes(digest)) for digest in blobs.beside(file.sha256)},
        )
        for (candidate, file), name, seen in zip(candidates, names, inspections, strict=True)
    ]


def _lineage(lease: Lease, candidate: Candidate) -> Document:
    lineage = Lineage(job=lease.job, parent=lease.request["model"], recipe=candidate.recipe, candidate=candidate.name)
    return lineage.model_dump(mode="json", by_alias=True)


def _reported(
    bench: Bench, report: Report, outputs: Sequence[Output] = (), peaks: Mapping[str, Peaks] | None = None
) -> Ending:
    document = report.model_dump_json(by_alias=True)
    digest = bench.parts.blobs.add_bytes(document.encode())
    bench.keep({digest})
    rendered = _rendered(bench, digest)
    return Ending(
        "cancelled" if getattr(report, "stopped", None) == "cancelled" else "succeeded",
        result=result_of(report).model_dump(mode="json", by_alias=True),
        report=digest,
        report_html=rendered.page if rendered else None,
        files=_files(bench, report, rendered.delivered if rendered else {}),
        outputs=outputs,
        peaks=peaks or {},
    )


def _files(bench: Bench, report: Report, delivered: Mapping[str, Digest]) -> list[JobFile]:
    def file(name: str, role: FileRole, digest: Digest) -> JobFile:
        return JobFile(name, role, digest, bench.parts.blobs.size_bytes(digest))

    left = {name: digest for name, digest in raw_files(report).items() if bench.parts.blobs.holds(digest)}
    raw = {name: digest for name, digest in left.items() if name not in delivered}
    return [
        *(file(name, "delivered", digest) for name, digest in delivered.items()),
        *(file(name, "raw", digest) for name, digest in raw.items()),
    ]


def _rendered(bench: Bench, report: Digest) -> RenderedReport | None:
    """None where it cannot be rendered: a page is not worth the loss of everything that was measured."""
    try:
        return bench.complete(render_report(report))
    except PlanFailed:
        _log.exception("report_not_rendered")
        return None
