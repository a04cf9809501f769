"""Inspects every file below a folder as an uploaded model, and prints what came of each.

    python bench/wild.py FOLDER

Each file is inspected in a process of its own, so that its time and peak memory are its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from enxuto.errors import EnxutoError
from enxuto.model_file import inspect_model
from enxuto.steps import InspectModel

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

path, digest = Path(sys.argv[1]), "0" * 64
before, started = peak_mib(), time.perf_counter()
try:
    found = inspect_model(InspectModel(model=digest, name=path.name), {digest: path}, Path())
    outcome = {"code": "ready", "detail": ", ".join(finding.code for finding in found.advice)}
    inputs = ", ".join(f"{spec.name}: {spec.dtype}{spec.shape}" for spec in found.inputs)
    batch = f" batch={found.batch_size}" if found.batch_size else ""
    outcome["detail"] = f"{inputs} {found.parameters:,} {found.precision}{batch} {outcome['detail']}".strip()
except EnxutoError as error:
    outcome = {"code": error.code, "detail": str(error)}
outcome |= {"seconds": time.perf_counter() - started, "mib": peak_mib() - before}
print(json.dumps(outcome))
"""


def main(folder: Path) -> None:
    print(f"{'file':52} {'bytes':>9} {'s':>5} {'+MiB':>5}  {'outcome':22} what")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        command = [sys.executable, "-c", _PROGRAM, str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        name, size = path.relative_to(folder), path.stat().st_size
        if ran.returncode:
            print(f"{name!s:52} {size:9}  crashed: {ran.stderr.strip().splitlines()[-1]}")
            continue
        outcome = json.loads(ran.stdout.splitlines()[-1])
        numbers = f"{outcome['seconds']:5.2f} {outcome['mib']:5.0f}"
        print(f"{name!s:52} {size:9} {numbers}  {outcome['code']:22} {outcome['detail'][:400]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
