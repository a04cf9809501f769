"""JSON bodies, validated as JSON: strictly, up to a size, with a pointer to each fault."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import TypeAdapter, ValidationError

from app.api.deps import PartsDep
from app.api.problem import faults_of
from app.api.receive import refuse_encoded
from app.api.requests import AnyJobBody, JobBodyAdapter, ModelBody, RenameBody
from app.core.errors import BadRequest, Fault, TooLarge, Unprocessable, UnsupportedMedia

T = TypeVar("T")


def json_body(adapter: TypeAdapter[T]) -> Callable[..., Awaitable[T]]:
    """The body as JSON, validated as JSON: strictly, with a pointer to each fault."""

    async def read(request: Request, parts: PartsDep) -> T:
        _check_is_json(request)
        refuse_encoded(request)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > parts.settings.max_body_bytes:
                raise _body_too_large(parts.settings.max_body_bytes)
        try:
            value = adapter.validate_json(bytes(body))
        except ValidationError as error:
            raise _invalid_body(error, bytes(body)) from error
        json.loads(body, object_pairs_hook=_refuse_twins)
        return value

    return read


def is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def refuse_parameter(value: str | None, name: str, why: str) -> None:
    """One that a body leaves no place for."""
    if value is not None:
        raise Unprocessable(
            why,
            code="invalid_parameters",
            hint=f"Leave '{name}' away, or send the file itself as the body.",
            errors=[Fault("unknown_parameter", why, parameter=name)],
        )


def _check_is_json(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if not is_json(request):
        raise UnsupportedMedia(
            f"The body comes as '{content_type}'." if content_type else "The body comes without a content type.",
            code="unsupported_media_type",
            hint="Send JSON, with Content-Type: application/json.",
            headers={"Accept-Post": "application/json"},
        )


def _body_too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"A JSON body may have {limit} bytes at most.",
        code="body_too_large",
        hint="Models and datasets are uploaded on their own and named by id.",
        headers={"Connection": "close"},
    )


def _refuse_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """One of two fields of the same name would be passed over without a word, as a repeated parameter would."""
    if twins := [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]:
        raise Unprocessable(
            f"The field '{twins[0]}' stands twice in one object.",
            code="invalid_body",
            hint="Send each field once.",
            errors=[Fault("repeated_field", f"'{name}' stands twice in one object.") for name in twins[:5]],
        )
    return dict(pairs)


def _invalid_body(error: ValidationError, body: bytes) -> BadRequest | Unprocessable:
    errors = error.errors(include_url=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return BadRequest(errors[0]["msg"], code="json_malformed", hint="Check the body with a JSON parser.")
    faults = faults_of(errors, json.loads(body))
    return Unprocessable(
        " ".join(
            f"{fault.pointer or '/'}: {fault.detail}{'' if fault.detail.endswith('^') else '.'}" for fault in faults[:5]
        ),
        code="invalid_body",
        hint="See `errors` for each place, and /docs for what may stand there.",
        errors=faults,
    )


JobBodyDep = Annotated[AnyJobBody, Depends(json_body(JobBodyAdapter))]
RenameBodyDep = Annotated[RenameBody, Depends(json_body(TypeAdapter(RenameBody)))]
read_model_body = json_body(TypeAdapter(ModelBody))
"""Only called where the body is JSON: it may be the file itself as well."""
