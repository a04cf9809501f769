"""OpenVINO on the processor. It reads the ONNX file as it is.

What OpenVINO takes without a word is refused here: inputs that are missing (it takes those of the call before), of
another type (it converts them), or of a shape that the model does not have. And with one thread and one stream, a plain
call that fails says nothing and leaves what was in the outputs before (found in 2026.4): the first call with inputs of
some shapes goes another way, which tells; it takes 50 µs longer, so that the others do not.

A graph that is compiled for one set of shapes asks no node for its shapes in a call, and plans its memory once: on
small models that is a sixth of a call.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

# Importing OpenVINO tells its makers so, unless this package is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import numpy as np  # noqa: E402
import openvino  # noqa: E402
from openvino.frontend import FrontEndManager  # noqa: E402

from enxuto.errors import BadInput, EnxutoError  # noqa: E402
from enxuto.machine import this_machine  # noqa: E402
from enxuto.options import openvino_config  # noqa: E402
from enxuto.runtimes.axes import Axes, read_axes  # noqa: E402
from enxuto.runtimes.openvino_errors import ERRORS, wrapped_load, wrapped_run  # noqa: E402
from enxuto.runtimes.weight_maps import giving_back, weight_maps  # noqa: E402
from enxuto.settings import OpenVinoSettings  # noqa: E402
from enxuto.signature import TensorSpec  # noqa: E402

_DEFAULT = OpenVinoSettings()
_DEVICE = "CPU"
_Shapes = tuple[tuple[int, ...], ...]
"""Of the inputs, in the order of the file."""
Ports = tuple[list[TensorSpec], list[int]]
"""Inputs or outputs in the order of the file, each with its position in the compiled model."""
_CAPABILITIES = {"bf16": "BF16", "f16": "FP16"}


class OpenVinoModel:
    """A compiled model with one request, to be called from one thread at a time.

    Its threads end their wait within a millisecond after a call; with one thread the caller does all the work.
    """

    compiled: openvino.CompiledModel
    """Not there before the first call of a model that is compiled for its shapes."""
    _request: openvino.InferRequest
    _mapped: openvino.Model | None
    """What was read, where its weights are mapped: holds the maps while memory of them is given back."""

    def __init__(
        self, path: Path, threads: int, settings: OpenVinoSettings = _DEFAULT, *, record: bool = False
    ) -> None:
        self._core = openvino.Core()
        _check_precision(self._core, settings)
        self._path = path
        self._config = openvino_config(settings, threads) | ({"PERF_COUNT": "YES"} if record else {})
        try:
            model = self._read()
            self._fixed_to: _Shapes | None = () if settings.fixed_shapes and model.is_dynamic() else None
            self._uncompiled = model if self._fixed_to == () else None
            if self._fixed_to is None:
                self._compile(model)
        except ERRORS as error:
            raise wrapped_load(error, path) from error
        (self.inputs, self._input_order), (self.outputs, self._output_order) = self._signature(model)
        self._ran: set[_Shapes] = set()
        self._expected = [(spec.name, np.dtype(spec.dtype), spec.shape) for spec in self.inputs]

    @property
    def counters(self) -> list[openvino.ProfilingInfo]:
        """Of each node, where the model was loaded to record them."""
        return list(self._request.get_profiling_info())

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        if len(feeds) != len(self._expected):
            raise _misfit(f"it takes {[name for name, *_ in self._expected]}, and was given {sorted(feeds)}")
        arrays = {
            position: _checked(feeds, name, dtype, shape)
            for position, (name, dtype, shape) in zip(self._input_order, self._expected, strict=True)
        }
        shapes = tuple([array.shape for array in arrays.values()])
        if self._fixed_to is not None and shapes != self._fixed_to:
            self._fix_to(shapes)
        try:
            if shapes not in self._ran:
                with self._giving_back():  # some weights are packed by the first call
                    self._request.start_async(arrays, share_inputs=True)
                    self._request.wait()
                self._ran.add(shapes)
                found = self._request.results
            else:
                found = self._request.infer(arrays, share_inputs=True, share_outputs=True)
            return [np.array(found[position]) for position in self._output_order]
        except ERRORS as error:
            raise wrapped_run(error) from error

    def _fix_to(self, shapes: _Shapes) -> None:
        """Compile anew, for these alone; what was compiled before is dropped first, so that memory never holds both."""
        if self._fixed_to:
            del self._request, self.compiled
        self._fixed_to = ()
        self._ran.clear()
        try:
            model = self._uncompiled or self._read()
            self._uncompiled = None
            model.reshape(dict(zip(self._input_order, map(openvino.PartialShape, shapes), strict=True)))
        except ERRORS as error:
            raise wrapped_run(error) from error
        try:
            self._compile(model)
        except ERRORS as error:
            raise wrapped_load(error, self._path) from error
        self._fixed_to = shapes

    def _compile(self, model: openvino.Model) -> None:
        self._mapped = model if weight_maps(self._path) else None
        with self._giving_back():
            self.compiled = self._core.compile_model(model, _DEVICE, self._config)
        self._request = self.compiled.create_infer_request()

    def _giving_back(self) -> AbstractContextManager[None]:
        return giving_back(self._path) if self._mapped is not None else nullcontext()

    def _read(self) -> openvino.Model:
        frontend = FrontEndManager().load_by_framework("onnx")
        return frontend.convert(frontend.load(str(self._path)))

    def _signature(self, model: openvino.Model) -> tuple[Ports, Ports]:
        axes_in, axes_out = read_axes(self._path)
        return _specs(model.inputs, axes_in), _specs(model.outputs, axes_out)


def can_compute_in(core: openvino.Core, precision: str) -> bool:
    """Whether this processor computes in this precision; what OpenVINO would have to imitate does not count."""
    if precision == "f32":
        return True
    if precision == "bf16" and not this_machine().has_bfloat16:
        return False
    return _CAPABILITIES[precision] in core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


def _check_precision(core: openvino.Core, settings: OpenVinoSettings) -> None:
    if not can_compute_in(core, settings.precision):
        raise BadInput(
            f"This processor ({this_machine().processor}) does not compute in {settings.precision}.",
            code="precision_not_supported",
            hint="Ask for f32, or for a target whose processor has it.",
        )


def _specs(ports: list[openvino.ConstOutput], axes: dict[str, Axes | None]) -> Ports:
    positions = {name: position for position, port in enumerate(ports) for name in port.get_names()}
    names = [name for name in axes if name in positions]
    specs = [TensorSpec(name=name, dtype=_dtype(ports[positions[name]], name), shape=axes[name]) for name in names]
    return specs, [positions[name] for name in names]


def _dtype(port: openvino.ConstOutput, name: str) -> str:
    kind = port.get_element_type()
    if kind == openvino.Type.string:
        raise wrapped_load(TypeError(f"{name!r} is text, which is not run by OpenVINO here"), Path())
    return "bfloat16" if kind == openvino.Type.bf16 else str(kind.to_dtype().name)


def _checked(feeds: Mapping[str, np.ndarray], name: str, dtype: np.dtype, shape: Axes | None) -> np.ndarray:
    array = feeds.get(name)
    if array is None:
        raise _misfit(f"input {name!r} is missing")
    if array.dtype != dtype:
        raise _misfit(f"input {name!r} is {dtype}, and was given {array.dtype}")
    if shape is not None and not _fits(array.shape, shape):
        raise _misfit(f"input {name!r} has the shape {shape}, and was given {list(array.shape)}")
    return array


def _fits(given: tuple[int, ...], wanted: Axes) -> bool:
    if len(given) != len(wanted):
        return False
    return all(not isinstance(axis, int) or axis == size for axis, size in zip(wanted, given, strict=True))


def _misfit(what: str) -> EnxutoError:
    return wrapped_run(ValueError(what))
