"""Does one step in a fresh process, outside the box: peers' models lie where their tools left them."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from pydantic import TypeAdapter

from bench.ahead.ir import use_in
from enxuto.execution.explain import finding_of
from enxuto.execution.perform import perform
from enxuto.judge import evaluate
from enxuto.measure import latency
from enxuto.steps import Step

REQUEST, RESULT, FINDING = "request.json", "result.json", "finding.json"


def main(folder: Path) -> int:
    use_in(evaluate, latency)
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    step: Step = TypeAdapter(Step).validate_python(request["step"])
    try:
        result = perform(step, {digest: Path(path) for digest, path in request["files"].items()}, folder / "out")
    except Exception as error:  # noqa: BLE001 - whatever ends a step is told
        traceback.print_exc()
        (folder / FINDING).write_text(finding_of(error).model_dump_json(), encoding="utf-8")
        return 1
    (folder / RESULT).write_text(result.model_dump_json(by_alias=True), encoding="utf-8")
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
