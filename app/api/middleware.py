"""What happens around every call: its id, its line in the log, its answer when something was raised, and the guard of a
service that is open to the local user."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problem import answer_for
from app.core.errors import Forbidden
from app.core.settings import Settings, is_loopback

log = structlog.stdlib.get_logger("app.calls")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PORT = re.compile(r":\d*$")
_QUIET = {"/livez", "/readyz"}


class Calls:
    """Gives each call an id (the caller's own, where it sent a sane one), logs it, and answers what was raised."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=request_id)
        answer = _Answer(send, request_id)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            log.info("disconnected", method=scope["method"], path=scope["path"])
            return
        except Exception as error:
            if answer.status is not None:
                log.error("broken_off", exc_info=error)
                raise
            await answer_for(error, request_id)(scope, receive, answer.send)
        if scope["path"] not in _QUIET:
            elapsed_ms = round((time.perf_counter() - started) * 1000, 1)
            log.info("call", method=scope["method"], path=scope["path"], status=answer.status, elapsed_ms=elapsed_ms)


class _Answer:
    """Sends an answer on with what every answer carries, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "no-referrer")
            headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        await self._send(message)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


class Guard:
    """Keeps web pages that the user has open away from a service that asks for no key.

    A page may send requests to loopback: its browser then says so in ``Origin`` or ``Sec-Fetch-Site``. A page may also
    point its own name at loopback (DNS rebinding): the ``Host`` header then carries that name.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._open = settings.operator_key is None
        self._names = frozenset(name.lower() for name in settings.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._check(scope["method"], Headers(scope=scope), scope.get("client"))
        await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers, client: tuple[str, int] | None) -> None:
        host = headers.get("host", "")
        if self._open and client and not is_loopback(client[0]):
            raise Forbidden(
                "Without a key this service answers calls from its own machine only.",
                code="not_local",
                hint="Set ENXUTO_OPERATOR_KEY, and send it as 'Authorization: Bearer enx_…'.",
            )
        if (self._open or self._names) and not _is_known(host, self._names):
            raise Forbidden(
                f"This service is not called '{host}'.",
                code="unknown_host",
                hint="Call it by the address it printed when it started, or set ENXUTO_ALLOWED_HOSTS.",
            )
        if self._open and method not in ("GET", "HEAD") and _is_foreign(headers, host):
            raise Forbidden(
                "A web page of another origin may not change anything here.",
                code="cross_origin",
                hint="Call the service from a program, or set ENXUTO_OPERATOR_KEY and send the key.",
            )


def _is_known(host: str, names: Collection[str]) -> bool:
    name = _PORT.sub("", host).lower()  # without the port
    return is_loopback(name) or name in names


def _is_foreign(headers: Headers, host: str) -> bool:
    if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
        return True
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != host.lower()
