"""From the body of a job to a job: everything it names is found and ready, fits together, and has its defaults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, assert_never

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.api import estimates
from app.api.deps import Caller
from app.api.requests import AnyJobBody, BenchmarkBody, CompareBody, OptimizeBody, ProfileBody
from app.api.schemas import ValidatedJob
from app.core import jobs
from app.core.blobs import Blobs
from app.core.earlier import earlier_job, has_measured, read_report
from app.core.errors import Fault, NotFound, NotReady, TooMany, Unprocessable
from app.core.inputs import dataset_input, model_input
from app.core.parts import Parts
from app.core.records import DatasetRecord, JobRecord, ModelRecord, TenantRecord, WorkerRecord
from app.core.settings import Settings
from enxuto.errors import BadInput, Finding
from enxuto.machine import this_machine
from enxuto.report import OptimizeReport
from enxuto.request import BenchmarkOptions, CompareOptions, OptimizeOptions, ProfileOptions, RunOptions
from enxuto.search.benchmark import benchmark
from enxuto.search.compare import compare
from enxuto.search.optimize import optimize
from enxuto.search.plan import Plan
from enxuto.search.profile import profile
from enxuto.search.resolve import resolve_benchmark, resolve_compare, resolve_optimize, resolve_profile
from enxuto.signature import DatasetInput, ModelInput

B = TypeVar("B", OptimizeBody, CompareBody, BenchmarkBody, ProfileBody)
Options = TypeVar("Options", OptimizeOptions, CompareOptions, BenchmarkOptions, ProfileOptions)
R = TypeVar("R")
Upload = TypeVar("Upload", bound=ModelRecord | DatasetRecord)


@dataclass(frozen=True)
class _Finder:
    """Finds what a body names, for one caller."""

    session: Session
    caller: Caller
    blobs: Blobs

    def model(self, id_: str, pointer: str) -> ModelInput:
        return model_input(self._ready(ModelRecord, id_, pointer))

    def dataset(self, id_: str | None, pointer: str) -> DatasetInput | None:
        return None if id_ is None else dataset_input(self._ready(DatasetRecord, id_, pointer))

    def earlier(self, id_: str | None) -> OptimizeReport | None:
        """The report of the job that an optimization rests on."""
        if id_ is None:
            return None
        job = earlier_job(self.session, self.caller.tenant, id_)
        if job is None:
            raise NotFound(
                f"There is no job '{id_}', which /earlier names.",
                code="not_found",
                hint="GET /v1/jobs lists those there are.",
                errors=[Fault("not_found", "There is no such job.", pointer="/earlier")],
            )
        report = read_report(self.blobs, job.report) if has_measured(job) and job.report else None
        if report is None:
            raise Unprocessable(
                f"The job '{id_}', which /earlier names, is a job of the kind {job.kind} that is {job.state}: it holds "
                "no measurements that another goal could be answered from.",
                code="earlier_does_not_fit",
                hint="Name an optimization that has succeeded.",
                errors=[Fault("earlier_does_not_fit", "No finished optimization.", pointer="/earlier")],
            )
        return report

    def _ready(self, record: type[Upload], id_: str, pointer: str) -> Upload:
        found = self.session.get(record, id_, with_for_update={"read": True})
        what = record.__tablename__.removesuffix("s")
        if found is None or found.tenant != self.caller.tenant:
            raise NotFound(
                f"There is no {what} '{id_}', which {pointer} names.",
                code="not_found",
                hint=f"GET /v1/{what}s lists those there are.",
                errors=[Fault("not_found", f"There is no such {what}.", pointer=pointer)],
            )
        if found.state == "inspecting":
            raise NotReady(
                f"The {what} '{id_}', which {pointer} names, is still inspected.",
                code="not_ready",
                hint=f"Wait for it: GET /v1/{what}s/{id_} with 'Prefer: wait=10'.",
                headers={"Retry-After": "1"},
            )
        if found.state == "rejected":
            raise _rejected(what, id_, pointer, Finding.model_validate(found.finding))
        return found


def _rejected(what: str, id_: str, pointer: str, finding: Finding) -> Unprocessable:
    return Unprocessable(
        f"The {what} '{id_}', which {pointer} names, was rejected: {finding.detail}",
        code="rejected",
        hint=finding.hint,
        errors=[Fault(finding.code, finding.detail, pointer=pointer)],
    )


def validate(session: Session, caller: Caller, blobs: Blobs, body: AnyJobBody) -> ValidatedJob:
    """The body with every default resolved, and what it will cost.

    Raises:
        ServiceError: something it names is not there, not ready or rejected.
        BadInput: the data does not fit the model, or the models each other.
    """
    _check_target(session, body.target)
    finder = _Finder(session, caller, blobs)
    match body:
        case OptimizeBody():
            return _validate_optimize(finder, body)
        case CompareBody():
            return _validate_compare(finder, body)
        case BenchmarkBody():
            return _validate_benchmark(finder, body)
        case ProfileBody():
            return _validate_profile(finder, body)
        case _:
            assert_never(body)


def submit(session: Session, caller: Caller, parts: Parts, body: AnyJobBody) -> JobRecord:
    """Write the job with its first event. The caller commits, then rings the bell."""
    session.execute(select(TenantRecord.id).where(TenantRecord.id == caller.tenant).with_for_update())
    _check_queue(session, caller, parts.settings)
    request = validate(session, caller, parts.blobs, body).request
    return jobs.submit(
        session,
        tenant=caller.tenant,
        kind=request.kind,
        lane="work",
        target=request.target,
        request=request.model_dump(mode="json", by_alias=True),
        subject=request.model,
    )


def _validate_optimize(finder: _Finder, body: OptimizeBody) -> ValidatedJob:
    model = finder.model(body.model, "/model")
    evaluation = finder.dataset(body.data.evaluation, "/data/evaluation")
    calibration = finder.dataset(body.data.calibration, "/data/calibration")
    options = resolve_optimize(_options(OptimizeOptions, body), model, evaluation)
    plan = optimize(options, model, evaluation, calibration, this_machine(), finder.earlier(body.earlier))
    with _of_data("/data/calibration"):  # the other role has been looked at by now
        _check_plan(plan)
    estimate = estimates.of_optimize(options, model, evaluation, calibration)
    return ValidatedJob(request=_with_options(body, options), estimate=estimate)


def _validate_compare(finder: _Finder, body: CompareBody) -> ValidatedJob:
    model, against = finder.model(body.model, "/model"), finder.model(body.against, "/against")
    evaluation = finder.dataset(body.data.evaluation, "/data/evaluation")
    options = resolve_compare(_options(CompareOptions, body), model, against, evaluation)
    _check_plan(compare(options, model, against, evaluation, this_machine()))
    return ValidatedJob(request=_with_options(body, options), estimate=estimates.of_compare(options, evaluation))


def _validate_benchmark(finder: _Finder, body: BenchmarkBody) -> ValidatedJob:
    model = finder.model(body.model, "/model")
    samples = finder.dataset(body.data.evaluation, "/data/evaluation")
    options = resolve_benchmark(_options(BenchmarkOptions, body), model, samples)
    _check_plan(benchmark(options, model, samples, this_machine()))
    return ValidatedJob(request=_with_options(body, options), estimate=estimates.of_benchmark(options))


def _validate_profile(finder: _Finder, body: ProfileBody) -> ValidatedJob:
    model = finder.model(body.model, "/model")
    against = None if body.against is None else finder.model(body.against, "/against")
    samples = finder.dataset(body.data.evaluation, "/data/evaluation")
    options = resolve_profile(_options(ProfileOptions, body), model, against, samples)
    _check_plan(profile(options, model, against, samples, this_machine(), None))
    return ValidatedJob(request=_with_options(body, options), estimate=estimates.of_profile(options, against))


def _with_options(body: B, options: RunOptions) -> B:
    return body.model_copy(update={name: getattr(options, name) for name in type(options).model_fields})


def _options(kind: type[Options], body: AnyJobBody) -> Options:
    """The part of a body that the library knows; ids, roles and target belong to the service."""
    known = {name: getattr(body, name) for name in kind.model_fields}
    return kind.model_construct(**known)


@contextmanager
def _of_data(pointer: str) -> Iterator[None]:
    """Name the dataset that does not fit by its place in the body."""
    try:
        yield
    except BadInput as error:
        if error.code != "data_does_not_fit":
            raise
        fault = Fault(error.code, error.detail, pointer=pointer)
        raise Unprocessable(error.detail, code=error.code, hint=error.hint, errors=[fault]) from error


def _check_plan(plan: Plan[R]) -> None:
    """A plan refuses what it is given before it asks for its first step."""
    next(plan)
    plan.close()


def _check_target(session: Session, target: str) -> None:
    if target == "any":
        return
    known = sorted(session.scalars(select(WorkerRecord.target).distinct()))
    if target not in known:
        raise Unprocessable(
            f"No worker measures on '{target}'.",
            code="unknown_target",
            hint=f"Ask for one of: {', '.join(['any', *known])}.",
            errors=[Fault("unknown_target", "There is no such target.", pointer="/target")],
        )


def _check_queue(session: Session, caller: Caller, settings: Settings) -> None:
    waiting = select(func.count()).where(JobRecord.tenant == caller.tenant, JobRecord.state == "queued")
    if (session.scalar(waiting) or 0) >= settings.max_queued_jobs:
        raise TooMany(
            f"{settings.max_queued_jobs} jobs are waiting already.",
            code="too_many_jobs",
            hint="Wait until some have ended, or cancel what is not needed.",
            headers={"Retry-After": "30"},
        )
