"""``enxuto up``: the whole service on this machine, with one command.

Redis (unless one is given), the API, workers and the sweep, in processes of their own that are started anew when they
die. Stopped cleanly, running jobs wait in the queue; killed, they are taken up after their lease. Either way the next
start on the same folder goes on where this one ended.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.core.database import migrate
from app.core.logs import configure_logging
from app.core.queue import broker_answers
from app.core.settings import NeedsKey, Settings, in_words, require_key
from enxuto.errors import BadInput, EnxutoError, OutOfCapacity
from workers.embedded_redis import EmbeddedRedis
from workers.supervise import Part, PartDied, Supervisor, ToldToStop

_READY_WITHIN_S = 60.0
_REDIS_WITHIN_S = 10.0
"""A Redis that somebody else started is there or is not."""


def up(workers: int) -> int:
    """Run until told to stop; the exit code. Everything else it is told comes from the settings."""
    try:
        settings = Settings()
        configure_logging(settings.log_level)
        require_key(settings)
        with _alone_in(settings.data_dir), _listening(settings) as listener:
            _run(settings, listener, workers)
    except (EnxutoError, NeedsKey, PartDied, TimeoutError) as error:
        return _refuse(str(error))
    except ValidationError as error:
        return _refuse(in_words(error))
    except SQLAlchemyError as error:
        said = error.orig if isinstance(error, DBAPIError) else error  # without a link to SQLAlchemy
        return _refuse(f"The database does not answer: {said}. Check ENXUTO_DATABASE_URL, where it is set.")
    return 0


def _run(settings: Settings, listener: socket.socket, workers: int) -> None:
    migrate(settings)
    redis = None if settings.redis_url else EmbeddedRedis(settings.data_dir)
    settings = settings.model_copy(update={"redis_url": redis.url if redis else settings.redis_url})
    supervisor = Supervisor()
    try:
        if redis:
            supervisor.add(redis.part())
            supervisor.wait_until(lambda: broker_answers(settings), within_s=_READY_WITHIN_S, what="Starting Redis")
        else:
            reaching = "Reaching Redis at ENXUTO_REDIS_URL"
            supervisor.wait_until(lambda: broker_answers(settings), within_s=_REDIS_WITHIN_S, what=reaching)
        for part in _parts(settings, listener, workers):
            supervisor.add(part)
        url = _url(listener)
        supervisor.wait_until(lambda: _is_ready(url), within_s=_READY_WITHIN_S, what="Starting the API")
        print(f"Enxuto is ready at {url}", flush=True)
        supervisor.keep_running()
    except ToldToStop:
        pass
    finally:
        supervisor.stop()
        if redis:
            redis.clear()
    print("Enxuto has stopped.", flush=True)


def _parts(settings: Settings, listener: socket.socket, workers: int) -> Iterator[Part]:
    environment = {
        "ENXUTO_DATA_DIR": str(settings.data_dir.absolute()),
        "ENXUTO_HOST": settings.host,
        "ENXUTO_PORT": str(listener.getsockname()[1]),
        "ENXUTO_REDIS_URL": settings.redis_url or "",
        "ENXUTO_UDS": "",
    }
    listening = {**environment, "ENXUTO_LISTEN_FD": str(listener.fileno())}
    python = [sys.executable, "-m"]
    yield Part("api", [*python, "app"], listening, settings.shutdown_grace_s + 2, pass_fds=[listener.fileno()])
    yield Part("sweep", [*python, "workers.sweep"], environment)
    for number in range(1, workers + 1):
        celery = ["celery", "--quiet", "-A", "workers.main", "worker", "--without-mingle", "--without-gossip"]
        yield Part(f"worker {number}", [*python, *celery, "-n", f"worker{number}-{os.getpid()}@%h"], environment)


@contextmanager
def _alone_in(data_dir: Path) -> Iterator[None]:
    """Two services on one folder would start two Redis servers on the same files."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "up.lock").open("a+")
    except OSError as error:
        raise OutOfCapacity(
            f"The folder {data_dir} cannot be used: {error.strerror}.",
            code="data_dir_unusable",
            hint="Choose another with --data-dir.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(
                f"Another `enxuto up` runs on {data_dir}.",
                code="already_up",
                hint="Stop it, or choose another --data-dir.",
            ) from error
        yield


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The API's socket. Held here, so that callers wait instead of being turned away while the API starts anew."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise BadInput(
                f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}.",
                code="cannot_listen",
                hint="Choose another with --host and --port; port 0 takes a free one.",
            ) from error
        listener.listen(1024)
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where everything is, loopback is
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1.0).is_success
    except httpx.TransportError:
        return False


def _refuse(message: str) -> int:
    print(f"enxuto: {message}", file=sys.stderr, flush=True)
    return 1
