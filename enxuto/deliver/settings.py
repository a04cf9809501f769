"""How to run what an ``optimize`` job recommends: a file of settings, and a loader of a few lines that reads it.

The settings stand there under the runtimes' own names, so that they can be taken over by hand as well.
"""

from __future__ import annotations

import json

from enxuto.deliver.loader import LOADER
from enxuto.report import OptimizeReport
from enxuto.settings import DEFAULT_SETTINGS, OnnxRuntimeSettings, OpenVinoSettings, RunSettings

_EXECUTION_MODES = {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}
_GRAPH_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}


def settings_files(report: OptimizeReport) -> dict[str, str]:
    """``settings.json`` and ``load_model.py`` for the winner; of the original where it stays."""
    winner = next((each for each in report.candidates if each.name == report.winner), None)
    settings = winner.settings if winner else DEFAULT_SETTINGS[report.workload.runtimes[0]]
    return files_for(settings, threads=report.workload.threads, libraries=report.machine.libraries)


def files_for(settings: RunSettings, *, threads: int, libraries: dict[str, str]) -> dict[str, str]:
    """``threads`` hold where the settings leave them open; ``libraries`` are the versions that were measured."""
    document = {
        "runtime": settings.runtime,
        "measured_with": libraries.get(settings.runtime, ""),
        **options_of(settings, settings.threads or threads),
    }
    return {"settings.json": json.dumps(document, indent=2) + "\n", "load_model.py": LOADER}


def options_of(settings: RunSettings, threads: int) -> dict[str, object]:
    """The options of a session or a compiled model, under the runtime's own names."""
    match settings:
        case OnnxRuntimeSettings():
            return {
                "session_options": onnxruntime_options(settings, threads),
                "session_config": onnxruntime_config(settings),
            }
        case OpenVinoSettings():
            return {"config": openvino_config(settings, threads)}


def onnxruntime_options(settings: OnnxRuntimeSettings, threads: int) -> dict[str, object]:
    """Attributes of ``onnxruntime.SessionOptions``; enumerations by the name of their member."""
    return {
        "intra_op_num_threads": threads,
        "inter_op_num_threads": settings.inter_op_threads,
        "execution_mode": _EXECUTION_MODES[settings.execution_mode],
        "graph_optimization_level": _GRAPH_LEVELS[settings.graph_level],
        "enable_cpu_mem_arena": settings.arena,
        "enable_mem_pattern": settings.memory_pattern,
    }


def onnxruntime_config(settings: OnnxRuntimeSettings) -> dict[str, str]:
    """Entries for ``SessionOptions.add_session_config_entry``."""
    spinning = "1" if settings.spinning else "0"
    return {
        "session.intra_op.allow_spinning": spinning,
        "session.inter_op.allow_spinning": spinning,
        "session.set_denormal_as_zero": "1" if settings.denormals_as_zero else "0",
    }


def openvino_config(settings: OpenVinoSettings, threads: int) -> dict[str, str]:
    """Properties for ``openvino.Core.compile_model``, each under its name and as text, which it takes too."""
    return {
        "INFERENCE_PRECISION_HINT": settings.precision,
        "INFERENCE_NUM_THREADS": str(threads * settings.streams),
        "NUM_STREAMS": str(settings.streams),
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "32" if settings.dynamic_quantization else "0",
        "ENABLE_CPU_PINNING": "NO",
        "ENABLE_HYPER_THREADING": "YES",
    }
