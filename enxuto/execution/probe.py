"""Tries to break out of the box from within, and says what was stopped. Run as a script, with a step's folder.

What `enxuto doctor` tells is what was tried here, not what a kernel claims.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

FOUND = "probe.json"
OUTSIDE = "outside"
"""Under this name the request tells where a file lies that the box must keep shut."""


def main(folder: Path) -> None:
    from enxuto.execution.message import Request
    from enxuto.execution.sandbox import enter

    request = Request.read(folder)
    outside = Path(request.files[OUTSIDE])
    layers = enter(request.policy)
    escapes: dict[str, Callable[[], object]] = {
        "read a file outside": outside.read_bytes,
        "write a file outside": lambda: outside.with_name("written").write_bytes(b""),
        "change a file outside": lambda: outside.chmod(0o777),
        "open a network connection": _connect,
        "start a process": os.fork,
        "run a program": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
        "read another process's secrets": Path(f"/proc/{request.policy.parent}/environ").read_bytes,
        "signal another process": lambda: os.kill(request.policy.parent, 0),
        "take more memory than allowed": lambda: bytearray(request.policy.memory_bytes + 1),
        "write more than allowed": lambda: _fill(folder / "large", request.policy.file_bytes + 1),
    }
    document = {
        "layers": dataclasses.asdict(layers),
        "missing": layers.missing,
        "stopped": {name: _is_stopped(attempt) for name, attempt in escapes.items()},
    }
    (folder / FOUND).write_text(json.dumps(document), encoding="utf-8")


def _connect() -> None:
    import socket

    socket.socket().close()


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _is_stopped(attempt: Callable[[], object]) -> bool:
    own = os.getpid()
    try:
        attempt()
    except (OSError, MemoryError):
        return True
    if os.getpid() != own:  # the fork that should not be
        os._exit(0)
    return False


if __name__ == "__main__":
    if (home := str(Path(__file__).parents[2])) not in sys.path:
        sys.path.insert(0, home)
    main(Path(sys.argv[1]))
