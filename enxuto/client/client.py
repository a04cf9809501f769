"""A server's verbs: upload, ask, wait, take home."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from enxuto.client import resumable, transfer
from enxuto.client.errors import JobCancelled, JobFailed, NotUnderstood
from enxuto.client.onnx_weights import files_beside
from enxuto.client.resources import Job, JobFile, Upload
from enxuto.client.transport import Transport
from enxuto.client.verbs import DELIVERED, Given, Verbs
from enxuto.client.waiting import OnProgress, until_ended, until_ready
from enxuto.errors import BadInput, EnxutoError, Finding
from enxuto.report import OptimizeReport, Report, ReportAdapter
from enxuto.request import RunOptions
from enxuto.search.plan import Progress
from enxuto.steps import FILE_NAME

R = TypeVar("R", bound=BaseModel)
AnyReport = TypeVar("AnyReport", bound=Report)
_LARGE_BYTES = 64 << 20
"""From here on a model goes over several requests, so that a connection that breaks costs little."""


class Client(Verbs):
    """One server.

    Files are given as paths; what is on the server already may be given by its id (``mdl_…``, ``dst_…``).
    Every method raises the errors of ``enxuto.client.errors``, each with a code, what was wrong, and what to do.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout: float = 30.0) -> None:
        """``timeout``: seconds that the server may stay silent before a request counts as lost."""
        if not url.startswith(("http://", "https://")):
            raise BadInput(
                f"'{url}' is no address of a server.",
                code="bad_server_url",
                hint="Give one such as http://127.0.0.1:8000.",
            )
        self._transport = Transport(url, key, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def upload_model(self, path: str | Path) -> Upload:
        """Send a model and wait until it is inspected. Raises BadInput with the finding where it is rejected."""
        return self._upload("models", Path(path))

    def upload_dataset(self, path: str | Path) -> Upload:
        """Send data and wait until it is inspected. Raises BadInput with the finding where it is rejected."""
        return self._upload("datasets", Path(path))

    def model(self, model_id: str) -> Upload:
        return self._get(Upload, f"/v1/models/{_part(model_id)}")

    def dataset(self, dataset_id: str) -> Upload:
        return self._get(Upload, f"/v1/datasets/{_part(dataset_id)}")

    def jobs(self, *, state: str | None = None, kind: str | None = None) -> Iterator[Job]:
        """Newest first; fetched page by page as they are asked for."""
        params: dict[str, str | int] = {"limit": 50}
        params |= {name: value for name, value in (("state", state), ("kind", kind)) if value}
        while True:
            page = _parse(_JobPage, self._transport.get("/v1/jobs", params))
            yield from page.items
            if page.next_cursor is None:
                return
            params["cursor"] = page.next_cursor

    def job(self, job_id: str) -> Job:
        return self._get(Job, f"/v1/jobs/{_part(job_id)}")

    def wait(self, job_id: str, progress: OnProgress | None = None) -> Job:
        """Until the job has ended, one way or the other."""
        return until_ended(lambda wait_s: self._get(Job, f"/v1/jobs/{_part(job_id)}", wait_s), progress)

    def cancel(self, job_id: str) -> Job:
        return _parse(Job, self._transport.post(f"/v1/jobs/{_part(job_id)}/cancel"))

    def report(self, job_id: str) -> Report:
        content = self._transport.get(f"/v1/jobs/{_part(job_id)}/report").content
        try:
            return ReportAdapter.validate_json(content)
        except ValidationError as error:
            raise _unlike("a report", f"report of {job_id}") from error

    def report_html(self, job_id: str) -> bytes:
        return self._transport.get(f"/v1/jobs/{_part(job_id)}/report.html").content

    def deliver(self, job_id: str, out: str | Path) -> None:
        """Fetch what a job that has ended left: report, page, files for programs, and the model recommended."""
        self._deliver(self.job(job_id), self.report(job_id), Path(out))

    def files(self, job_id: str) -> list[JobFile]:
        """What a job that has ended left beside its report and its models."""
        return _parse(_JobFiles, self._transport.get(f"/v1/jobs/{_part(job_id)}/files")).items

    def download_file(self, job_id: str, file: JobFile, path: str | Path) -> Path:
        """Fetch one of a job's files, as ``download`` does a model."""
        address = f"/v1/jobs/{_part(job_id)}/files/{_part(file.name)}"
        return transfer.download(self._transport, address, file, _target(Path(path), file.name))

    def download(self, model_id: str, path: str | Path) -> Path:
        """Fetch a model's bytes into a file, or into a folder under its own name; files of its weights beside it.

        Resumed where a connection broke, also by a later call; checked against the digest; never half there.
        """
        model = self.model(model_id)
        address, target = f"/v1/models/{_part(model_id)}", _target(Path(path), model.name)
        for file in model.files:  # first: so that the model is never there without them
            if not _is_below(file.path):
                raise _unlike("one below the model's folder", f"path '{file.path[:80]}' of a file")
            if target.parent / file.path == target:
                raise BadInput(
                    f"The model keeps weights in '{file.path[:80]}', and cannot have that name itself.",
                    code="name_taken",
                    hint="Name another file for the model itself: download(id, 'model.onnx').",
                )
            place = f"{address}/files/{quote(file.path)}"
            transfer.download(self._transport, place, file, target.parent / file.path)
        return transfer.download(self._transport, f"{address}/content", model, target)

    def techniques(self) -> list[dict[str, Any]]:
        return _parse(_Listed, self._transport.get("/v1/techniques")).items

    def targets(self) -> list[dict[str, Any]]:
        return _parse(_Listed, self._transport.get("/v1/targets")).items

    def _get(self, kind: type[R], path: str, wait_s: float = 0) -> R:
        return _parse(kind, self._transport.get(path, wait_s=wait_s))

    def _upload(self, collection: str, path: Path) -> Upload:
        sent = _parse(Upload, self._send(collection, path, wait_s=10))
        return until_ready(sent, lambda wait_s: self._get(Upload, f"/v1/{collection}/{_part(sent.id)}", wait_s))

    def _send(self, collection: str, path: Path, *, wait_s: float) -> httpx.Response:
        """A model that is large or has its weights in other files over several requests, all else in one."""
        is_model = collection == "models" and path.is_file()
        beside = files_beside(path) if is_model else []
        if beside or (is_model and path.stat().st_size >= _LARGE_BYTES):
            return resumable.upload_model(self._transport, path, beside, wait_s=wait_s)
        return transfer.upload(self._transport, collection, path, wait_s=wait_s)

    def _on_server(self, collection: str, given: str | Path, progress: OnProgress | None) -> str:
        prefix = {"models": "mdl_", "datasets": "dst_"}[collection]
        if isinstance(given, str) and given.startswith(prefix) and not Path(given).exists():
            return given
        if progress:
            progress(Progress("upload", f"uploading {Path(given).name}", 0.0))
        return self._upload(collection, Path(given)).id

    def _data(self, roles: Mapping[str, Given | None], progress: OnProgress | None) -> dict[str, str]:
        """Ids by role; the same file in two roles is sent once."""
        sent: dict[str, str] = {}
        for given in roles.values():
            if given is not None and str(given) not in sent:
                sent[str(given)] = self._on_server("datasets", given, progress)
        return {role: sent[str(given)] for role, given in roles.items() if given is not None}

    def _finish(self, body: dict[str, Any], progress: OnProgress | None) -> Job:
        job = _parse(Job, self._transport.post("/v1/jobs", body))
        try:
            job = self.wait(job.id, progress)
        except KeyboardInterrupt as stop:
            with suppress(EnxutoError):  # the interrupt is what the caller must hear of
                self.cancel(job.id)
            raise KeyboardInterrupt(
                f"{job.id} was told to stop; `enxuto jobs show {job.id}` says how it ended"
            ) from stop
        match job.state:
            case "failed":
                unknown = Finding(code=EnxutoError.default_code, detail="It gave no reason.", fault="internal")
                raise JobFailed(job.id, job.error.finding if job.error else unknown)
            case "cancelled":
                raise JobCancelled(job.id, has_report=job.has_report)
        return job

    def _ask(
        self,
        expected: type[AnyReport],
        options: RunOptions,
        models: Mapping[str, Given | None],
        data: Mapping[str, Given | None],
        target: str,
        out: Given | None,
        progress: OnProgress | None,
        named: Mapping[str, str] = {},
    ) -> AnyReport:
        body = {
            **options.model_dump(mode="json", by_alias=True),
            "kind": expected.model_fields["kind"].default,
            **{role: self._on_server("models", given, progress) for role, given in models.items() if given is not None},
            "data": self._data(data, progress),
            "target": target,
            **named,
        }
        job = self._finish(body, progress)
        report = self.report(job.id)
        if not isinstance(report, expected):
            raise _unlike(f"the report of a job of kind {body['kind']}", f"report of {job.id}")
        if out is not None:
            self._deliver(job, report, Path(out))
        return report

    def _deliver(self, job: Job, report: Report, out: Path) -> None:
        delivered = [file for file in self.files(job.id) if file.role == "delivered"]
        for file in delivered:
            if not re.fullmatch(FILE_NAME, file.name) or file.name in DELIVERED:
                raise _unlike("one that can be written into a folder", f"name '{file.name[:80]}' of a file")
        out.mkdir(parents=True, exist_ok=True)
        if isinstance(report, OptimizeReport):
            model_id = report.recommended.id or (job.result or {}).get("model")
            if model_id is None:
                raise _unlike("the id of the recommended model", f"report of {job.id}")
            self.download(model_id, out / "optimized.onnx")
        for file in delivered:
            self.download_file(job.id, file, out / file.name)
        transfer.write_whole(out / "report.json", report.model_dump_json(by_alias=True, indent=1).encode())
        transfer.write_whole(out / "report.html", self.report_html(job.id))


def _is_below(path: str) -> bool:
    """Whether it can lead nowhere but below the folder it is seen from."""
    parts = path.split("/")
    return "\\" not in path and "\0" not in path and not any(part in ("", ".", "..") for part in parts)


def _target(path: Path, name: str) -> Path:
    """A folder stands for a file of that name in it; never one outside of it."""
    return path / Path(name).name if path.is_dir() else path


class _JobPage(BaseModel):
    items: list[Job]
    next_cursor: str | None = None


class _JobFiles(BaseModel):
    items: list[JobFile]


class _Listed(BaseModel):
    items: list[dict[str, Any]]


def _part(given: str) -> str:
    return quote(given, safe="")


def _parse(kind: type[R], response: httpx.Response) -> R:
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise _unlike(
            "what an Enxuto server sends", f"answer to {response.request.method} {response.url.path}"
        ) from error


def _unlike(expected: str, what: str) -> NotUnderstood:
    return NotUnderstood(
        f"The {what} is not {expected}, as far as this version knows it.",
        code="answer_not_understood",
        hint="Check the address, and that server and client have the same version of Enxuto.",
    )
