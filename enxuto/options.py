"""Run settings under the runtimes' own names: what models are loaded with here, and what is delivered with them."""

from __future__ import annotations

from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings

_EXECUTION_MODES = {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}
_GRAPH_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
_QUANTIZED_GROUP = 32
"""Elements of an input that share a scale, where OpenVINO quantizes it on the way: its own default."""


def onnxruntime_options(settings: OnnxRuntimeSettings, threads: int) -> dict[str, int | bool | str]:
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
    """Properties for ``openvino.Core.compile_model``, which takes their values as text.

    Threads are not pinned to cores: models that are timed side by side, or beside others, would share one.
    """
    return {
        "INFERENCE_PRECISION_HINT": settings.precision,
        "INFERENCE_NUM_THREADS": str(threads * settings.streams),
        "NUM_STREAMS": str(settings.streams),
        "ENABLE_CPU_PINNING": "NO",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(_QUANTIZED_GROUP if settings.dynamic_quantization else 0),
    }
