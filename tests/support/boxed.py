"""Runs a few lines of Python in a process of their own, inside the sandbox or, to compare, outside."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from enxuto.execution.sandbox import Policy, interpreter_paths

_BOXED = """
import json, sys
from enxuto.execution.sandbox import Policy, enter
layers = enter(Policy(**json.loads(sys.argv[1])))
exec(compile(sys.argv[2], "lines", "exec"))
"""
_UNBOXED = 'import sys; exec(compile(sys.argv[1], "lines", "exec"))'


def run_boxed(
    lines: str,
    scratch: Path,
    *,
    readable: Sequence[Path] = (),
    memory_bytes: int = 2**30,
    file_bytes: int = 2**26,
    cpu_s: int = 60,
) -> subprocess.CompletedProcess[str]:
    policy = Policy(
        parent=os.getpid(),
        scratch=str(scratch),
        readable=[*interpreter_paths(), *map(str, readable)],
        memory_bytes=memory_bytes,
        file_bytes=file_bytes,
        open_files=256,
        cpu_s=cpu_s,
    )
    return _run([_BOXED, json.dumps(dataclasses.asdict(policy)), lines], scratch)


def run_unboxed(lines: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    return _run([_UNBOXED, lines], scratch)


def _run(arguments: list[str], scratch: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", *arguments], cwd=scratch, capture_output=True, text=True, timeout=60, check=False
    )
