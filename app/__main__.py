"""``python -m app``: serves the API until told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.core.logs import configure_logging
from app.core.settings import NeedsKey, Settings, settings_or_exit
from app.main import create_app


class _Server(uvicorn.Server):
    """Lets calls that only wait go at once when it is told to stop."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop and hasattr(self._app.state, "parts"):
            self._loop.call_soon_threadsafe(self._app.state.parts.watch.release)


def main() -> None:
    settings = settings_or_exit()
    configure_logging(settings.log_level)
    try:
        app = create_app(settings)
    except NeedsKey as error:
        sys.exit(f"enxuto: {error}")
    for told_to_stop in (signal.SIGINT, signal.SIGTERM):  # raised again by uvicorn, once it has stopped
        signal.signal(told_to_stop, lambda *_: sys.exit(0))
    _Server(_config(app, settings), app).run()


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        uds=str(settings.uds) if settings.uds else None,
        fd=settings.listen_fd,
        lifespan="on",
        log_config=None,
        access_log=False,  # the app writes its own, with the request's id
        server_header=False,
        timeout_graceful_shutdown=round(settings.shutdown_grace_s),
    )


if __name__ == "__main__":
    main()
