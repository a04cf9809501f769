"""The ``enxuto`` command. Starting it is quick: whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and leave with its exit code (`enxuto.cli.exits` lists them)."""
    from enxuto.cli.app import application
    from enxuto.cli.exits import explain

    try:
        application()(args=arguments, prog_name="enxuto")
    except Exception as error:
        code = explain(error)
        if code is None:
            raise
        sys.exit(code)
    sys.exit(0)
