"""The command line in this process: quick, and its output and exit code at hand."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from enxuto.cli import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def enxuto(*arguments: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as leaving:
            code = leaving.code
    return Ran(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
