"""ONNX Runtime on the processor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from enxuto.errors import BadInput, EnxutoError, OutOfCapacity
from enxuto.options import onnxruntime_config, onnxruntime_options
from enxuto.settings import OnnxRuntimeSettings
from enxuto.signature import TensorSpec

_ERRORS: tuple[type[Exception], ...] = (
    *(error for error in vars(native).values() if isinstance(error, type) and issubclass(error, Exception)),
    RuntimeError,  # what pybind11 makes of C++ exceptions
    TypeError,
    ValueError,
    MemoryError,
)
_ERROR_LOGS = 3
_DEFAULT = OnnxRuntimeSettings()
_ENUMERATIONS = {"execution_mode": ort.ExecutionMode, "graph_optimization_level": ort.GraphOptimizationLevel}
_LONGEST_MESSAGE = 600
_DTYPES = {
    "float": "float32",
    "double": "float64",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
}
"""Where the runtime's name of an element type differs from NumPy's."""


class OnnxRuntimeModel:
    """A session with one pool of threads that stops spinning when a call returns."""

    def __init__(
        self,
        path: Path | bytes,
        threads: int,
        settings: OnnxRuntimeSettings = _DEFAULT,
        adjust: Callable[[ort.SessionOptions], None] = lambda options: None,
    ) -> None:
        ort.set_default_logger_severity(_ERROR_LOGS)
        options = session_options(threads, settings)
        adjust(options)
        try:
            self._session = ort.InferenceSession(
                path, options, providers=["CPUExecutionProvider"], enable_fallback=False
            )
        except _ERRORS as error:
            raise _wrapped_load(error) from error
        self.inputs = [_spec(node) for node in self._session.get_inputs()]
        self.outputs = [_spec(node) for node in self._session.get_outputs() if node.type.startswith("tensor(")]
        self._output_names = [output.name for output in self.outputs]

    def run(
        self, feeds: Mapping[str, np.ndarray], options: ort.RunOptions | None = None, names: list[str] | None = None
    ) -> list[np.ndarray]:
        """``names``: the outputs that are wanted, else all that are tensors."""
        try:
            outputs: list[np.ndarray] = self._session.run(names or self._output_names, feeds, options)
        except _ERRORS as error:
            raise _wrapped_run(error) from error
        return outputs

    def end_profiling(self) -> Path:
        """Where the events lie, of a session that was made to record them."""
        return Path(self._session.end_profiling())


def session_options(threads: int, settings: OnnxRuntimeSettings = _DEFAULT) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _ERROR_LOGS
    for name, value in onnxruntime_options(settings, threads).items():
        setattr(options, name, getattr(_ENUMERATIONS[name], str(value)) if name in _ENUMERATIONS else value)
    for name, entry in onnxruntime_config(settings).items():
        options.add_session_config_entry(name, entry)
    # Waiting threads spin within a call, as users' own sessions do, but not between calls: two models that are timed
    # side by side would otherwise take the cores from each other.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def clean_message(error: Exception) -> str:
    """What the runtime said, without its error numbers, source lines and paths."""
    text = str(error).split("Stacktrace:")[0]
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"Load model from .*? failed:", "", text)
    text = re.sub(r"(/[\w.+-]+)+\.(cc|h):\d+ .*?\)(?= [A-Z])", "", text)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def _wrapped_load(error: Exception) -> EnxutoError:
    message = clean_message(error)
    return _out_of_memory(error, message) or BadInput(
        f"ONNX Runtime {ort.__version__} cannot load this model: {message}",
        code="model_fails_to_load",
        hint="Check that the file loads with onnxruntime where it was made, and export it again if it does not.",
    )


def _wrapped_run(error: Exception) -> EnxutoError:
    message = clean_message(error)
    return _out_of_memory(error, message) or BadInput(
        f"the model does not run on these inputs: {message}",
        code="model_fails_to_run",
        hint="Check the inputs' shapes, workload.batch_size and workload.dims against what the model was exported for.",
    )


def _out_of_memory(error: Exception, message: str) -> OutOfCapacity | None:
    if isinstance(error, MemoryError) or re.search(r"bad_alloc|[Ff]ailed to allocate memory", message):
        return OutOfCapacity(
            f"the model asked for more memory than there is: {message}",
            code="out_of_memory",
            hint="Use a smaller batch or smaller dimensions, or raise the memory limit of a step.",
        )
    return None


def _spec(node: ort.NodeArg) -> TensorSpec:
    kind = re.fullmatch(r"tensor\((\w+)\)", node.type)
    dtype = _DTYPES.get(kind[1], kind[1]) if kind else "unknown"
    return TensorSpec(name=node.name, dtype=dtype, shape=[_axis(size) for size in node.shape])


def _axis(size: int | str | None) -> int | str | None:
    return None if isinstance(size, int) and size < 0 else size
