"""The service's errors: a class carries the HTTP status, the code says which page explains it.

    ServiceError
    ├── BadRequest            400   not HTTP or JSON as it should be
    ├── Unauthorized          401
    ├── Forbidden             403
    ├── NotFound              404   also what belongs to another tenant
    ├── MethodNotAllowed      405
    ├── Stalled               408
    ├── Conflict              409
    ├── PreconditionFailed    412
    ├── TooLarge              413
    ├── UnsupportedMedia      415
    ├── RangeNotSatisfiable   416
    ├── Unprocessable         422   understood, and wrong
    ├── Locked                423   somebody else writes to it just now
    ├── PreconditionRequired  428
    ├── TooMany               429
    ├── ChecksumMismatch      460   of the tus protocol
    ├── Broken                500   a fault of ours
    ├── Unavailable           503
    └── StorageFull           507

Raise them with a literal ``code="…"``: each has its page in ``app/problems.md``, which a test holds to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request."""

    code: str
    detail: str
    pointer: str | None = None
    """JSON pointer into the body."""
    parameter: str | None = None
    """Name of the query parameter, path parameter or header."""


class ServiceError(Exception):
    """Base of everything that is answered with a problem."""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    """Whether the same request may do better later."""

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        hint: str = "",
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.hint = hint
        self.errors = errors
        self.headers = headers or {}


class BadRequest(ServiceError):
    status = 400


class Unauthorized(ServiceError):
    status = 401


class Forbidden(ServiceError):
    status = 403


class NotFound(ServiceError):
    status = 404


class MethodNotAllowed(ServiceError):
    status = 405


class Stalled(ServiceError):
    status = 408
    retryable = True


class Conflict(ServiceError):
    status = 409


class NotReady(Conflict):
    """It will be, in a moment."""

    retryable = True


class PreconditionFailed(ServiceError):
    status = 412


class TooLarge(ServiceError):
    status = 413


class UnsupportedMedia(ServiceError):
    status = 415


class RangeNotSatisfiable(ServiceError):
    status = 416


class Unprocessable(ServiceError):
    status = 422


class Locked(ServiceError):
    status = 423
    retryable = True


class PreconditionRequired(ServiceError):
    status = 428


class TooMany(ServiceError):
    status = 429
    retryable = True


class ChecksumMismatch(ServiceError):
    status = 460
    retryable = True


class Broken(ServiceError):
    status = 500


class Unavailable(ServiceError):
    status = 503
    retryable = True


class StorageFull(ServiceError):
    status = 507
    retryable = True
