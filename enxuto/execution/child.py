"""What a step's process runs: close the box, do the step, leave the result.

Run as a script, with the step's folder as its argument; see ``enxuto.execution.folder``.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enxuto.execution.message import Request
    from enxuto.steps import Result


def main(folder: Path) -> int:
    """0 where a result was left, 1 where a finding was. Raises OSError where there is no room for either."""
    from enxuto.execution.message import MISSING_LAYERS, Request
    from enxuto.execution.sandbox import enter

    request = Request.read(folder)
    layers = enter(request.policy)
    (folder / MISSING_LAYERS).write_text(json.dumps(layers.missing), encoding="utf-8")
    return _do(request, layers.missing, folder)


def _do(request: Request, missing_layers: list[str], folder: Path) -> int:
    from enxuto.execution.explain import finding_of  # now: memory may be short later
    from enxuto.execution.message import FINDING, RESULT

    try:
        if missing_layers and request.require_sandbox:
            _refuse(missing_layers)
        result = _perform(request, folder)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever ends a step is told to the parent
        traceback.clear_frames(error.__traceback__)
        traceback.print_exc()
        (folder / FINDING).write_text(finding_of(error).model_dump_json(), encoding="utf-8")
        return 1
    (folder / RESULT).write_text(result.model_dump_json(by_alias=True), encoding="utf-8")
    return 0


def _refuse(missing_layers: list[str]) -> None:
    from enxuto.errors import OutOfCapacity

    raise OutOfCapacity(
        f"This machine's kernel does not give the sandbox its {', '.join(missing_layers)}, which are required here.",
        code="sandbox_incomplete",
        hint="Run `enxuto doctor` there; use a newer kernel, or allow steps to run with the other layers only.",
    )


def _perform(request: Request, folder: Path) -> Result:
    from pydantic import TypeAdapter

    from enxuto.execution.perform import perform
    from enxuto.steps import Step

    step: Step = TypeAdapter(Step).validate_json(request.step)
    return perform(step, {digest: Path(path) for digest, path in request.files.items()}, folder / "out")


def _told(folder: Path) -> int:
    """A full disk takes no finding either, so that it is told by the exit code."""
    from enxuto.execution.message import NO_ROOM

    try:
        return main(folder)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        return NO_ROOM


if __name__ == "__main__":
    # The parent's own copy of the package, wherever it was imported from.
    if (home := str(Path(__file__).parents[2])) not in sys.path:
        sys.path.insert(0, home)
    code = _told(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # runtimes take their time to leave, and some crash on their way out
