"""How a runtime is set up to run a model: what users would otherwise pick by hand for a session."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from enxuto.schema import Value

RuntimeName = Literal["onnxruntime", "openvino"]
"""The runtimes that an ONNX file can be run by."""


class _Settings(Value):
    threads: int | None = Field(None, ge=1, le=1024)
    """Threads inside one operator; null: as many as the workload says."""


class OnnxRuntimeSettings(_Settings):
    """A session of ONNX Runtime. The defaults are the library's own, but for the number of threads."""

    runtime: Literal["onnxruntime"] = "onnxruntime"
    execution_mode: Literal["sequential", "parallel"] = "sequential"
    """Whether branches of the graph may run at the same time."""
    inter_op_threads: int = Field(1, ge=1, le=1024)
    """Threads between operators, where branches run at the same time."""
    spinning: bool = True
    """Whether threads that wait for work within a call spin instead of sleeping."""
    arena: bool = True
    """Whether memory is kept from call to call."""
    memory_pattern: bool = True
    """Whether memory of one call is planned from the shapes of the one before."""
    graph_level: Literal["disabled", "basic", "extended", "layout", "all"] = "all"
    """How far the graph is optimized while it is loaded."""
    denormals_as_zero: bool = False
    """Whether numbers too small to be normal are taken for zero, which some processors compute much faster. ONNX
    Runtime lets the first session of a process decide that for the thread that calls, so it is not searched."""


class OpenVinoSettings(_Settings):
    """A model compiled by OpenVINO for the processor."""

    runtime: Literal["openvino"] = "openvino"
    precision: Literal["f32", "bf16", "f16"] = "f32"
    """What FP32 operators may compute in. OpenVINO's own default is bf16 wherever the processor has it; here it is
    asked for by name, since it costs accuracy."""
    streams: int = Field(1, ge=1, le=1024)
    """Calls that may run at the same time."""
    dynamic_quantization: bool = False
    """Whether linear layers with compressed weights may quantize their inputs on the way."""
    fixed_shapes: bool = False
    """Whether the model is compiled for the shapes of a call alone, which makes calls of a model with symbolic axes
    faster. A call of other shapes is answered too, after as long as loading takes: it is compiled anew for them."""


RunSettings = Annotated[OnnxRuntimeSettings | OpenVinoSettings, Field(discriminator="runtime")]
DEFAULT_SETTINGS: dict[RuntimeName, RunSettings] = {
    "onnxruntime": OnnxRuntimeSettings(),
    "openvino": OpenVinoSettings(),
}
