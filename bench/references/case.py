"""A real model in the form that methods work on, its samples, and what it says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from bench.ahead.cases import Case
from enxuto.dataset.preprocess import preprocess
from enxuto.graph.edit import Editor
from enxuto.graph.file import read_model
from enxuto.graph.inner import exposed
from enxuto.graph.optimize import optimized
from enxuto.quantization.linear import Linear, linears
from enxuto.techniques import Context

_BATCH = 32
Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Real:
    name: str
    model: ir.Model
    """Normalized, with batch norms merged."""
    calibration: Feeds
    evaluation: Feeds

    def context(self) -> Context:
        folder = Path(tempfile.mkdtemp(prefix="references-"))
        vnni = frozenset({"avx2", "avx512f", "avx512_vnni"})
        return Context(scratch=folder, seed=0, calibration=Batches(self.calibration), instruction_sets=vnni)

    def inner(self, names: list[str]) -> dict[str, np.ndarray]:
        """Tensors between inputs and outputs on the calibration samples."""
        model = exposed(self.model, names)
        kept = [output for output in model.graph.outputs if output.name in names]
        model.graph.outputs[:] = kept
        found = outputs(model, self.calibration)
        return {str(value.name): array for value, array in zip(kept, found, strict=True)}


class Batches:
    """Samples from arrays in memory."""

    def __init__(self, arrays: Feeds) -> None:
        self._arrays = arrays
        self.count = len(next(iter(arrays.values())))

    def __call__(self, batch_size: int) -> Iterator[Feeds]:
        for start in range(0, self.count, batch_size):
            yield {name: array[start : start + batch_size] for name, array in self._arrays.items()}


def real(case: Case, samples: int) -> Real:
    """So many samples to calibrate on, and so many others to judge by."""
    model = optimized(read_model(case.model))
    wanted = {str(value.name): value.dtype.numpy() for value in model.graph.inputs if value.dtype}
    calibration, evaluation = (_feeds(path, case, wanted, samples) for path in (case.calibration, case.evaluation))
    return Real(case.name, model, calibration, evaluation)


def _feeds(path: Path | None, case: Case, wanted: Mapping[str, np.dtype[np.generic]], samples: int) -> Feeds:
    if path is None:
        raise SystemExit(f"{case.name} wants data/calib.npz and data/eval.npz")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name][:samples] for name in wanted}
    for name, how in case.settings.preprocessing.items():
        arrays[name] = preprocess(arrays[name], how)
    return {name: array.astype(wanted[name]) for name, array in arrays.items()}


def bytes_of(model: ir.Model) -> bytes:
    found: bytes = ir.to_proto(model).SerializeToString()
    return found


def outputs(model: ir.Model | bytes, feeds: Feeds) -> list[np.ndarray]:
    """Of all samples, in float kernels that nothing reorders."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    data = model if isinstance(model, bytes) else bytes_of(model)
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    batches = [session.run(None, dict(batch)) for batch in Batches(feeds)(_BATCH)]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def sqnr_db(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Signal to quantization noise over all outputs together."""
    noise = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in zip(found, expected, strict=True))
    signal = sum(float(np.square(b.astype(np.float64)).sum()) for b in expected)
    return float(10 * np.log10(signal / noise)) if noise else float("inf")


def named(model: ir.Model, operators: frozenset[str]) -> dict[str, Linear]:
    """Convolutions and matrix products with constant weights, by the name of what they write."""
    return {str(one.node.outputs[0].name): one for one in linears(model.graph, operators)}


def with_weights(model: ir.Model, weights: Feeds, biases: Feeds | None = None) -> ir.Model:
    """A copy whose linears have other weights, and biases, by the name of what they write."""
    copy = model.clone()
    editor = Editor(copy.graph)
    for name, linear in named(copy, frozenset({"Conv", "Gemm", "MatMul"})).items():
        for position, table in ((1, weights), (2, biases or {})):
            if name in table:
                array = table[name].astype(np.float32)
                if position == len(linear.node.inputs):
                    linear.node.resize_inputs(position + 1)
                linear.node.replace_input_with(position, editor.weight(f"{name}_{position}_new", array))
    return copy
