"""A serving plan as the model configuration of Triton Inference Server.

Fields are those of ``model_config.proto`` in triton-inference-server/common, parameters those that the onnxruntime and
openvino backends read; what they have no parameter for stands in a comment, since it was measured with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from enxuto.report import ServingPlan
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.signature import ModelInspection, TensorSpec

_TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "bfloat16": "TYPE_BF16",
    "string": "TYPE_STRING",
}
_GRAPH_LEVELS = {"disabled": 2, "basic": -1, "extended": 1, "layout": 1}
"""Of ``optimization.graph.level``; where nothing is said, the backend optimizes all."""


def config_pbtxt(plan: ServingPlan, inspection: ModelInspection) -> str | None:
    """The text of ``config.pbtxt``; None for a model whose inputs Triton has no type or shape for."""
    if any(spec.dtype not in _TYPES or spec.shape is None for spec in inspection.inputs):
        return None
    batched = has_batch_axis(inspection)
    lines = [
        *_head(plan, inspection, batched),
        *_tensors("input", inspection.inputs, batched),
        *_tensors("output", _told(inspection.outputs), batched),
        f"instance_group [ {{ count: {plan.batching.instances} kind: KIND_CPU }} ]",
        *_batching(plan, batched),
        *_settings(plan),
    ]
    return "\n".join(lines) + "\n"


def has_batch_axis(inspection: ModelInspection) -> bool:
    """Whether all inputs and outputs have a first axis that may be of any length."""
    specs = [*inspection.inputs, *inspection.outputs]
    free = all(spec.shape is None or (spec.shape and not isinstance(spec.shape[0], int)) for spec in specs)
    return free and inspection.batch_size is None


def _head(plan: ServingPlan, inspection: ModelInspection, batched: bool) -> Iterator[str]:
    yield f"# Carries {plan.rate_per_s:.0f} requests a second with one sample each, as measured outside of Triton."
    yield "# Put it beside a folder named 1 that holds the model as model.onnx; Triton calls the model by the name of"
    yield "# the folder that holds both."
    yield f'backend: "{plan.settings.runtime}"'
    yield 'default_model_filename: "model.onnx"'
    if not batched:
        size = inspection.batch_size
        yield (
            f"# The model takes batches of {size} only: requests are not gathered, and hold {size} sample(s) each."
            if size
            else "# The model has no batch axis that all inputs and outputs share: requests are not gathered."
        )
    yield f"max_batch_size: {plan.batching.max_batch if batched else 0}"


def _told(outputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Triton fills in outputs of which the file does not say type or shape."""
    return [spec for spec in outputs if spec.dtype in _TYPES and spec.shape is not None]


def _tensors(field: str, specs: Sequence[TensorSpec], batched: bool) -> Iterator[str]:
    for spec in specs:
        axes = (spec.shape or [])[1 if batched else 0 :]
        dims = ", ".join(str(axis) if isinstance(axis, int) else "-1" for axis in axes)
        shape = f"dims: [ {dims} ]" if axes else "dims: [ 1 ] reshape { shape: [ ] }"
        yield f'{field} [ {{ name: "{escaped(spec.name)}" data_type: {_TYPES[spec.dtype]} {shape} }} ]'


def _batching(plan: ServingPlan, batched: bool) -> Iterator[str]:
    if batched and plan.batching.max_batch > 1:
        yield "dynamic_batching {"
        yield f"  preferred_batch_size: [ {plan.batching.max_batch} ]"
        yield f"  max_queue_delay_microseconds: {round(plan.batching.max_delay_ms * 1000)}"
        yield "}"


def _settings(plan: ServingPlan) -> Iterator[str]:
    match plan.settings:
        case OnnxRuntimeSettings():
            yield from _onnxruntime(plan.settings, plan.threads)
        case OpenVinoSettings():
            yield from _openvino(plan.settings, plan.threads, plan.batching.instances)


def _onnxruntime(settings: OnnxRuntimeSettings, threads: int) -> Iterator[str]:
    if settings.graph_level in _GRAPH_LEVELS:
        yield f"optimization {{ graph {{ level: {_GRAPH_LEVELS[settings.graph_level]} }} }}"
    yield _parameter("intra_op_thread_count", settings.threads or threads)
    yield _parameter("inter_op_thread_count", settings.inter_op_threads)
    yield _parameter("execution_mode", int(settings.execution_mode == "parallel"))
    yield _parameter("enable_mem_arena", int(settings.arena))
    yield _parameter("enable_mem_pattern", int(settings.memory_pattern))
    if settings.graph_level == "layout":
        yield "# Measured at graph level layout, which the backend cannot be asked for: extended comes nearest."
    if not settings.spinning:
        yield "# Measured with threads that do not spin, which the backend cannot be asked for."
    if settings.denormals_as_zero:
        yield "# Measured with denormals taken as zero, which the backend cannot be asked for."


def _openvino(settings: OpenVinoSettings, threads: int, instances: int) -> Iterator[str]:
    """All instances of the backend share one compiled model: its streams and threads are those of all."""
    streams = settings.streams * instances
    yield _parameter("NUM_STREAMS", streams)
    yield _parameter("INFERENCE_NUM_THREADS", (settings.threads or threads) * streams)
    if settings.precision == "bf16":
        yield _parameter("HINT_BF16", "YES")
    else:
        yield f"# Measured in {settings.precision}, which the backend cannot be asked for: it takes bf16 where the"
        yield "# processor has it."
    if settings.dynamic_quantization:
        yield "# Measured with dynamic quantization, which the backend cannot be asked for."
    if settings.fixed_shapes:
        yield "# Measured as compiled for one set of shapes, which the backend does for a file with fixed axes alone."


def _parameter(key: str, value: int | str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'


def escaped(text: str) -> str:
    """As a string of protobuf's text format wants it."""
    return "".join(
        f"\\{letter}" if letter in '"\\' else letter if letter.isprintable() else _octal(letter) for letter in text
    )


def _octal(letter: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in letter.encode())
