"""Starts a Python script of this package in a fresh process with a clean environment and a session of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",  # the order of a set must not change a model
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYDANTIC_DISABLE_PLUGINS": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # a thread of its own, a file in HOME, and no network to send it by
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""All that a child is told: nothing of the parent's, where secrets may be."""


def start(script: Path, folder: Path, home: Path) -> subprocess.Popen[bytes]:
    """Run ``script folder``; what it prints, on either stream, comes through ``stdout``.

    The child dies with the thread that calls this, so whoever starts it waits for it.
    """
    return subprocess.Popen(
        [sys.executable, "-s", "-P", str(script), str(folder)],
        cwd=home,
        env={**_ENVIRONMENT, "HOME": str(home), "TMPDIR": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
