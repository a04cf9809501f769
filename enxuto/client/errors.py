"""What goes wrong between a client and a server.

EnxutoError
├── Problem              the server said no (problem+json), with its status and code
│   ├── RequestRefused   4xx: the request is at fault
│   │   ├── NotAuthorized, NotFound, NotReady
│   ├── ServerBusy       429, 503, 507: try later
│   └── ServerBroken     any other 5xx
├── Unreachable          no answer at all
├── NotUnderstood        an answer, but none that this version knows
├── JobFailed            the job ended without a result; its own code, detail and hint
├── JobCancelled         somebody cancelled it
├── DamagedDownload      the bytes that came are not those that were promised
└── DamagedUpload        the bytes that the server has are not those that were sent
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from enxuto.errors import EnxutoError, Fault, Finding, Interrupted


class NotUnderstood(EnxutoError):
    default_code = "answer_not_understood"


class Fields(BaseModel):
    """The body of a problem; RFC 9457 wants unknown members ignored."""

    model_config = ConfigDict(extra="ignore")

    title: str = ""
    detail: str = ""
    code: str = NotUnderstood.default_code
    hint: str = ""
    instance: str = ""
    retryable: bool = False
    errors: list[dict[str, object]] = []


class Problem(EnxutoError):
    """The server said no."""

    def __init__(self, status: int, fields: Fields) -> None:
        super().__init__(_spelled_out(fields), code=fields.code, hint=fields.hint)
        self.status = status
        self.retryable = fields.retryable
        self.errors = fields.errors
        """Each single fault of a body: ``pointer``, ``code``, ``detail``."""
        self.instance = fields.instance


class RequestRefused(Problem):
    fault: ClassVar[Fault] = "user"


class NotAuthorized(RequestRefused):
    """No key, an unknown one, or one that may not."""


class NotFound(RequestRefused):
    """There is no such thing, or it is another tenant's."""


class NotReady(RequestRefused):
    """A model or dataset is not inspected yet, or was rejected."""


class ServerBusy(Problem):
    fault: ClassVar[Fault] = "capacity"


class ServerBroken(Problem):
    fault: ClassVar[Fault] = "internal"


class Unreachable(EnxutoError):
    fault: ClassVar[Fault] = "capacity"
    default_code = "server_unreachable"


class DamagedDownload(EnxutoError):
    default_code = "damaged_download"


class DamagedUpload(EnxutoError):
    default_code = "digest_mismatch"


class JobFailed(EnxutoError):
    """A job ended without a result."""

    def __init__(self, job: str, finding: Finding) -> None:
        super().__init__(finding.detail, code=finding.code, hint=finding.hint)
        self.job = job
        self._finding = finding

    @property
    def finding(self) -> Finding:
        return self._finding


class JobCancelled(Interrupted):
    """A job was cancelled; it may have left a report of the best so far."""

    fault: ClassVar[Fault] = "user"

    def __init__(self, job: str, *, has_report: bool) -> None:
        hint = f"The best so far is in the report of {job}." if has_report else ""
        super().__init__(f"The job {job} was cancelled.", code="job_cancelled", hint=hint)
        self.job = job
        self.has_report = has_report


_KINDS: dict[int, type[Problem]] = {
    401: NotAuthorized,
    403: NotAuthorized,
    404: NotFound,
    409: NotReady,
    429: ServerBusy,
    503: ServerBusy,
    507: ServerBusy,
}


def problem_of(status: int, body: bytes) -> Problem:
    """The exception for an answer of 400 and above; a proxy's page in between becomes one too."""
    try:
        fields = Fields.model_validate_json(body)
    except ValidationError:
        said = " ".join(body[:300].decode("utf-8", "replace").split())
        fields = Fields(detail=f"The server answered {status}: {said or 'nothing more'}")
    usual = RequestRefused if status < 500 else ServerBroken
    return _KINDS.get(status, usual)(status, fields)


def _spelled_out(fields: Fields) -> str:
    """The detail, and each fault of the body that it does not name itself."""
    faults = [
        f"{one.get('pointer') or one.get('parameter') or 'body'}: {one['detail']}"
        for one in fields.errors
        if "detail" in one
    ]
    said = fields.detail or fields.title
    return (
        said
        if not faults or all(str(one.get("detail")) in said for one in fields.errors)
        else (f"{said} ({'; '.join(faults)})")
    )
