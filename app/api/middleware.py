"""What happens around every call: its id, its line in the log, its answer when something was raised, and the guard of a
service that is open to the local user."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Collection

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problem import answer_for
from app.core.errors import Forbidden
from app.core.settings import Settings, is_loopback

log = structlog.stdlib.get_logger("app.calls")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PORT = re.compile(r":\d*$")
_LINGER_S = 2.0
_LINGER_BYTES = 64 << 20
HEAD_ONLY = "enxuto.head_only"
"""In the scope of a call that wants no body."""
_QUIET = {"/livez", "/readyz"}


class Calls:
    """Gives each call an id (the caller's own, where it sent a sane one), logs it, and answers what was raised."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(scope, receive, send)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=call.id)
        try:
            await self._app(scope, call.receive, call.send)
        except ClientDisconnect:
            log.info("disconnected", method=scope["method"], path=scope["path"])
            return
        except Exception as error:
            if call.status is not None:
                log.error("broken_off", exc_info=error)
                raise
            await call.refuse(answer_for(error, call.id))
        if scope["path"] not in _QUIET:
            log.info("call", method=scope["method"], path=scope["path"], status=call.status, elapsed_ms=call.elapsed_ms)


class Heads:
    """Answers HEAD as GET would be answered; the server keeps the body back, and what streams one need not begin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", HEAD_ONLY: True}
        await self._app(scope, receive, send)


class _Call:
    """One request and its answer, as far as the outermost layer cares."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._started = time.perf_counter()
        self._headers = Headers(scope=scope)
        self._body_ended = False
        given = self._headers.get("x-request-id", "")
        self.id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self.status: int | None = None
        scope.setdefault("state", {})["request_id"] = self.id

    @property
    def elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 1)

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_ended = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.id
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "no-referrer")
            headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        await self._send(message)

    async def refuse(self, answer: Response) -> None:
        """Answer at once, and take in some of the body that still comes: a client that is cut off while it sends may
        never read the answer."""

        async def send_and_linger(message: Message) -> None:
            is_last = message["type"] == "http.response.body"
            await self.send({**message, "more_body": True} if is_last else message)
            if is_last:
                await self._drain()
                await self.send({"type": "http.response.body", "body": b""})

        lingers = not self._body_ended and "expect" not in self._headers and _has_body(self._headers)
        await answer(self._scope, self.receive, send_and_linger if lingers else self.send)

    async def _drain(self) -> None:
        taken = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while not self._body_ended and taken < _LINGER_BYTES:
                    taken += len((await self.receive()).get("body", b""))


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


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
