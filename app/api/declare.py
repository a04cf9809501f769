"""What routes declare beside their code, so that the OpenAPI document tells the whole truth."""

from __future__ import annotations

from typing import Any

Responses = dict[int | str, dict[str, Any]]

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_MEANINGS = {
    400: "The body cannot be read.",
    401: "A key is needed.",
    403: "Not from there.",
    404: "It is not there.",
    408: "The bytes stopped coming.",
    409: "Not in its present state.",
    412: "It was changed since.",
    413: "Too large.",
    415: "Not in this form.",
    416: "The range lies outside.",
    422: "Understood, and wrong.",
    423: "Somebody else writes to it just now.",
    428: "`If-Match` is needed.",
    429: "Too much at a time.",
    460: "The bytes that came do not have this checksum; none of them were taken.",
    500: "A fault of the service.",
    503: "A part of the service is gone.",
    507: "No room left.",
}
_HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"schema": {"type": "string"}, "description": "Strong entity tag."},
    "Location": {"schema": {"type": "string"}, "description": "Where it is."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds after which to look again."},
    "Repr-Digest": {"schema": {"type": "string"}, "description": "SHA-256 of all of it (RFC 9530)."},
    "Content-Range": {"schema": {"type": "string"}, "description": "Which bytes these are."},
    "Tus-Resumable": {"schema": {"type": "string"}, "description": "Version of the tus protocol: 1.0.0."},
    "Upload-Offset": {"schema": {"type": "integer"}, "description": "Bytes that are here already."},
    "Upload-Length": {"schema": {"type": "integer"}, "description": "Bytes of all of it, where that is known."},
    "Upload-Expires": {"schema": {"type": "string"}, "description": "When it is thrown away, as an HTTP date."},
    "Tus-Version": {"schema": {"type": "string"}, "description": "Versions of the protocol that are understood."},
    "Tus-Extension": {"schema": {"type": "string"}, "description": "Extensions of the protocol that are there."},
    "Tus-Max-Size": {"schema": {"type": "integer"}, "description": "Largest upload, in bytes."},
    "Tus-Checksum-Algorithm": {"schema": {"type": "string"}, "description": "What `Upload-Checksum` may name."},
    "Content-Disposition": {"schema": {"type": "string"}, "description": "What to save it as."},
}


def problems(*statuses: int) -> Responses:
    """Answers with a problem, by status."""
    return {status: {"description": _MEANINGS[status], "content": _PROBLEM} for status in statuses}


EVERYWHERE = problems(401, 403, 422, 500, 503)
"""What any route under /v1 may answer."""


def headers(*names: str) -> dict[str, dict[str, Any]]:
    return {name: _HEADERS[name] for name in names}


def unchanged() -> Responses:
    return {304: {"description": "The caller has it already.", "headers": headers("ETag")}}


def file_body(json: str | None = None) -> dict[str, Any]:
    """The request's body is a file, or a form with one; or JSON of a named schema."""
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": binary}, "required": ["file"], "additionalProperties": False}
    content = {"application/octet-stream": {"schema": binary}, "multipart/form-data": {"schema": form}}
    if json:
        content["application/json"] = {"schema": {"$ref": f"#/components/schemas/{json}"}}
    return {"requestBody": {"required": True, "content": content}}


def schema_body(name: str, examples: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """The request's body is JSON of a named schema."""
    media: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    media |= {"examples": examples} if examples else {}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


def file_answer(*, media_type: str, ranges: bool = True) -> Responses:
    """A blob, whole or in part."""
    schema = {"schema": {"type": "string", "format": "binary"}} if media_type != "application/json" else {}
    every = headers("ETag", "Repr-Digest")
    answers: Responses = {
        200: {"description": "All of it.", "content": {media_type: schema}, "headers": every},
        206: {
            "description": "The range asked for.",
            "content": {media_type: {"schema": {"type": "string", "format": "binary"}}},
            "headers": every | headers("Content-Range"),
        },
    }
    return answers | unchanged() | problems(404, 416)
