"""Resources on their way out, with strong entity tags; and the conditions that requests may state about them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from fastapi import Request, Response

from app.core.errors import PreconditionFailed, PreconditionRequired
from enxuto.schema import Value

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def answer(
    request: Request, resource: Value, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The resource as JSON, or 304 where the caller has it already."""
    body = _body(resource)
    tag = _tag(body)
    every = {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}
    if request.method in ("GET", "HEAD") and is_known(request, tag):
        return Response(status_code=304, headers=every)
    return Response(body, status, headers=every, media_type="application/json")


def is_known(request: Request, tag: str) -> bool:
    """Whether ``If-None-Match`` names this entity tag, weakly or strongly (RFC 9110, 13.1.2)."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in [each.removeprefix("W/") for each in _TAG.findall(given)]


def require_match(given: str | None, resource: Value) -> None:
    """That the caller changes what it has seen: ``If-Match`` is there and names the resource as it is now."""
    if given is None:
        raise PreconditionRequired(
            "What is to be changed must be named by its entity tag, so that nobody's change is overwritten unseen.",
            code="if_match_required",
            hint="GET it first, and send its ETag as If-Match; or '*' to change it whatever it is.",
        )
    tag = _tag(_body(resource))
    if given.strip() != "*" and tag not in _TAG.findall(given):
        raise PreconditionFailed(
            "It was changed since the version that If-Match names.",
            code="if_match_failed",
            hint="GET it again, look at what changed, and send its new ETag.",
            headers={"ETag": tag},
        )


def _body(resource: Value) -> bytes:
    return resource.model_dump_json(by_alias=True).encode()


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
