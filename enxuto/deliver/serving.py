"""What people take away from a serving plan: settings with a loader, a server with its batcher, a file for Triton."""

from __future__ import annotations

from pathlib import Path

import enxuto
from enxuto.deliver.server import serve_py
from enxuto.deliver.settings import files_for
from enxuto.deliver.triton import config_pbtxt
from enxuto.report import BenchmarkReport


def serving_files(report: BenchmarkReport) -> dict[str, str]:
    """Text files by name; none where there is no plan."""
    plan = report.plan
    if plan is None:
        return {}
    files = files_for(plan.settings, threads=plan.threads, libraries=report.machine.libraries)
    config, server = config_pbtxt(plan, report.inspection), serve_py(plan, report.inspection)
    if config:
        files["config.pbtxt"] = config
    if server:
        files |= {"serve.py": server, "batcher.py": _batcher()}
    return files


def _batcher() -> str:
    """The very file that was measured, read and not imported: it needs numpy."""
    return (Path(enxuto.__file__).parent / "serving" / "batcher.py").read_text(encoding="utf-8")
