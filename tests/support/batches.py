"""Calibration batches from arrays in memory, and a context for techniques under test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from enxuto.techniques import Context

VNNI = frozenset({"avx2", "avx512f", "avx512_vnni"})


class ArrayBatches:
    """Samples by input name; the first axis counts them."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays

    @property
    def count(self) -> int:
        return len(next(iter(self._arrays.values())))

    def __call__(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self.count, batch_size):
            yield {name: array[start : start + batch_size] for name, array in self._arrays.items()}


def context(
    scratch: Path, arrays: Mapping[str, np.ndarray] | None = None, instruction_sets: frozenset[str] = VNNI
) -> Context:
    calibration = ArrayBatches(arrays) if arrays is not None else None
    return Context(scratch=scratch, seed=0, calibration=calibration, instruction_sets=instruction_sets)


def samples_for(model: onnx.ModelProto, count: int = 16, seed: int = 0) -> dict[str, np.ndarray]:
    """Random samples that fit a tiny model; symbolic axes after the first get 5 entries, a fixed batch is kept."""
    random = np.random.default_rng(seed)
    weights = {tensor.name for tensor in model.graph.initializer}
    return {
        spec.name: _array(random, spec.type.tensor_type, count)
        for spec in model.graph.input
        if spec.name not in weights
    }


def _array(random: np.random.Generator, tensor: onnx.TypeProto.Tensor, count: int) -> np.ndarray:
    dims = [dim.dim_value or 5 for dim in tensor.shape.dim]
    dims[0] = tensor.shape.dim[0].dim_value or count
    if tensor.elem_type == onnx.TensorProto.INT64:
        return random.integers(0, 10, dims)
    kind = np.float16 if tensor.elem_type == onnx.TensorProto.FLOAT16 else np.float32
    return random.standard_normal(dims).astype(kind)


def outputs_of(model: onnx.ModelProto | ir.Model, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, dict(feeds))]


def drift(expected: list[np.ndarray], found: list[np.ndarray]) -> float:
    """Relative L2 distance over all outputs together."""
    error = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in zip(expected, found, strict=True))
    signal = sum(float(np.square(a.astype(np.float64)).sum()) for a in expected)
    return float(np.sqrt(error / signal))
