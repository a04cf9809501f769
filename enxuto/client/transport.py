"""Requests that survive a server's restart: what may be repeated is, with pauses; what may not is sent once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from enxuto.client.errors import Unreachable, problem_of

_TRY_LATER = frozenset({423, 429, 502, 503, 504})
_FIRST_PATIENCE_S = 2.0
"""For a server that never answered."""
_PATIENCE_S = 60.0
"""For one that did: it may be starting anew."""
_LONGEST_PAUSE_S = 5.0


class Transport:
    """One server over HTTP."""

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)
        self._answered = False

    def close(self) -> None:
        self.http.close()

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        wait_s: float = 0,
    ) -> httpx.Response:
        """Repeated while the server does not answer or asks to come later. Waits ``wait_s`` longer for an answer."""
        headers = {**(headers or {}), **({"Prefer": f"wait={wait_s:g}"} if wait_s else {})}
        timeout_s = self.timeout_s + wait_s
        return self.send(
            lambda: self.http.build_request("GET", path, params=params, headers=headers, timeout=timeout_s)
        )

    def post(self, path: str, document: object = None) -> httpx.Response:
        """Sent once: repeated only where it cannot have arrived."""
        return self.send(lambda: self.http.build_request("POST", path, json=document), repeatable=False)

    def send(self, request: Callable[[], httpx.Request], *, repeatable: bool = True) -> httpx.Response:
        """The answer, or its problem as an exception. Each try builds its request anew: the body may be a stream."""
        started, pause_s = time.monotonic(), 0.2
        while True:
            try:
                response = self.http.send(request())
            except httpx.TransportError as error:
                if not (repeatable or isinstance(error, httpx.ConnectError)) or self.given_up(started):
                    raise self.unreachable(error) from error
            else:
                self._answered = True
                may_repeat = response.status_code == 429 or (repeatable and response.status_code in _TRY_LATER)
                if not may_repeat or self.given_up(started):
                    return checked(response)
                pause_s = max(pause_s, _retry_after_s(response))
            pause_s = self.pause(pause_s)

    def once(self, request: httpx.Request) -> httpx.Response:
        """The answer to one try, or its problem as an exception; connection errors come out as httpx raises them."""
        response = self.http.send(request)
        self._answered = True
        return checked(response)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """One answer piece by piece; connection errors come out as httpx raises them."""
        with self.http.stream("GET", path, headers=dict(headers)) as response:
            self._answered = True
            if response.status_code >= 400:
                response.read()
                checked(response)
            yield response

    def given_up(self, started: float) -> bool:
        return time.monotonic() - started > (_PATIENCE_S if self._answered else _FIRST_PATIENCE_S)

    @staticmethod
    def pause(pause_s: float) -> float:
        """Sleep about that long; returns the next pause."""
        time.sleep(min(pause_s, _LONGEST_PAUSE_S) * random.uniform(0.8, 1.2))  # noqa: S311
        return min(pause_s * 2, _LONGEST_PAUSE_S)

    def unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"The server at {self.url} could not be reached: {error or type(error).__name__}.",
            code="server_unreachable",
            hint="Check the address and that the server runs (`enxuto up` starts one on this machine).",
        )


def checked(response: httpx.Response) -> httpx.Response:
    if response.status_code >= 400:
        raise problem_of(response.status_code, response.content)
    return response


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return float(response.headers.get("Retry-After", 0))
    except ValueError:  # a date: the usual pause does
        return 0.0
