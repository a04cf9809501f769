"""How to run what an ``optimize`` job recommends: a file of settings, and a loader of a few lines that reads it.

The settings stand there under the runtimes' own names, so that they can be taken over by hand as well.
"""

from __future__ import annotations

import json

from enxuto.deliver.loader import LOADER
from enxuto.options import onnxruntime_config, onnxruntime_options, openvino_config
from enxuto.report import OptimizeReport
from enxuto.settings import DEFAULT_SETTINGS, OnnxRuntimeSettings, OpenVinoSettings, RunSettings

SETTINGS_FILE = "settings.json"
LOADER_FILE = "load_model.py"


def settings_files(report: OptimizeReport) -> dict[str, str]:
    """Of the winner; where the original stays, of the original as it was run."""
    winner = next((each for each in report.candidates if each.name == report.winner), None)
    settings = winner.settings if winner else DEFAULT_SETTINGS[report.workload.runtimes[0]]
    return files_for(settings, threads=report.workload.threads, libraries=report.machine.libraries)


def files_for(settings: RunSettings, *, threads: int, libraries: dict[str, str]) -> dict[str, str]:
    """``threads`` hold where the settings leave them open; ``libraries`` are the versions that were measured."""
    document = {
        "runtime": settings.runtime,
        "measured_with": libraries.get(settings.runtime),
        **_options(settings, settings.threads or threads),
    }
    return {SETTINGS_FILE: json.dumps(document, indent=2) + "\n", LOADER_FILE: LOADER}


def _options(settings: RunSettings, threads: int) -> dict[str, object]:
    match settings:
        case OnnxRuntimeSettings():
            return {
                "session_options": onnxruntime_options(settings, threads),
                "session_config": onnxruntime_config(settings),
            }
        case OpenVinoSettings():
            return {"config": openvino_config(settings, threads), "fixed_shapes": settings.fixed_shapes}
