"""On which kinds of processor a quantized model holds the accuracy that was measured here.

What decides is how products of 8-bit numbers are added up (``emulate/products.py``): everywhere in 32 bits, except on
x86 without VNNI, where pairs of U8 × S8 products are added in 16 bits and saturate. Everything else is the same
arithmetic up to rounding: float32 sums in another order, and integers that are rounded to the next level.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.judge.emulate.fused import FusedGraph
from enxuto.judge.emulate.products import Product, hidden, products
from enxuto.judge.emulate.run import MULTIPLIES, Batch, Emulated, Emulator, emulate
from enxuto.judge.portability_words import (
    ROUNDING,
    WITHOUT_SATURATION,
    bounded,
    not_emulated,
    too_costly,
    verdict,
)
from enxuto.metric import Agreement, TopK
from enxuto.processor import Processor, processor_of
from enxuto.runtimes import LoadedModel, load_model
from enxuto.schema import Digest
from enxuto.signature import fixed_batch
from enxuto.steps import AssessPortability, Portability, ProcessorAccuracy
from enxuto.workload import Workload

_SAMPLES, _FEWEST_SAMPLES = 32, 8
_LARGEST_BYTES = 1 << 30
"""Of a file that is run in pieces: larger ones are judged by their weights."""
_COMPUTING = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "FusedMatMul", "Attention"})


def assess_portability(step: AssessPortability, files: Mapping[Digest, Path], out: Path) -> Portability:
    """Raises BadInput where ONNX Runtime cannot load or run one of the two models."""
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        assessment = _Assessment(step, files, Path(scratch))
        answers = [assessment.of(processor) for processor in step.processors]
    return Portability(processors=answers, samples=assessment.samples)


class _Assessment:
    def __init__(self, step: AssessPortability, files: Mapping[Digest, Path], scratch: Path) -> None:
        self.samples = 0
        """That outputs were worked out for."""
        self._step = step
        self._files = files
        self._here = processor_of(step.instruction_sets)
        self._graph = FusedGraph(files[step.model], scratch)
        self._products = list(products(self._graph, signed_activations=self._here == "arm"))
        self._hidden = hidden(self._graph)
        self._half = computes_in_half(files[step.model])
        self._emulated: Emulated | None = None

    def of(self, there: Processor) -> ProcessorAccuracy:
        if there == self._here:
            why = "The model was run on this kind of processor."
            return ProcessorAccuracy(processor=there, method="measured", holds=True, why=why)
        if self._half and "arm" in (there, self._here):
            why = (
                "The model computes in float16, which is done in float32 on x86 and in float16 sums on ARM: accuracy "
                "there is not known."
            )
            return ProcessorAccuracy(processor=there, method="same_arithmetic", holds=None, why=why)
        if not self._products and not self._hidden:
            return _same(there, "The model has no sums of unsigned times signed 8-bit products.")
        if _saturates(there) == _saturates(self._here):
            return _same(there, WITHOUT_SATURATION)
        return self._by_weights(there)

    def _by_weights(self, there: Processor) -> ProcessorAccuracy:
        if self._hidden:
            return not_emulated(there, f"{', '.join(self._hidden)} inside control flow")
        loud = [product for product in self._products if product.saturates()]
        if not loud:
            return bounded(there, len(self._products))
        if self._here == "arm":
            return not_emulated(there, "what ONNX Runtime makes of the file on x86")
        if strange := sorted({product.node.op_type for product in loud if not product.emulated}):
            return not_emulated(there, ", ".join(strange))
        if self._graph.size_bytes > _LARGEST_BYTES:
            return too_costly(there, len(loud), len(self._products))
        return self._by_running(there, loud)

    def _by_running(self, there: Processor, loud: list[Product]) -> ProcessorAccuracy:
        if self._emulated is None:
            saturate = _saturates(there)
            emulator = Emulator(self._graph, loud, saturate=saturate, multiplies=MULTIPLIES)
            self._emulated = emulate(emulator, self._batches(), self._choosing())
            self.samples = self._emulated.samples
        if not self._emulated.complete and self._emulated.samples < _FEWEST_SAMPLES:
            return too_costly(there, len(loud), len(self._products))
        return verdict(there, self._emulated, loud, real_data=self._step.samples is not None)

    def _choosing(self) -> list[str]:
        """Outputs of the original that a class is chosen by."""
        metric = self._step.metric
        if not isinstance(metric, TopK) and not (isinstance(metric, Agreement) and metric.by != "cosine"):
            return []
        if metric.output is not None:
            return [metric.output]
        return [output.name for output in load_model(self._files[self._step.original]).outputs[:1]]

    def _batches(self) -> Iterator[Batch]:
        original = load_model(self._files[self._step.original])
        quantized = load_model(self._files[self._step.model])
        for feeds, count in _feeds(self._step, self._files, original):
            yield Batch(feeds, count, _run(original, feeds), _run(quantized, feeds))


def _same(there: Processor, reason: str) -> ProcessorAccuracy:
    return ProcessorAccuracy(processor=there, method="same_arithmetic", holds=True, why=f"{reason} {ROUNDING}")


def _saturates(processor: Processor) -> bool:
    return processor == "x86_avx2"


def _run(model: LoadedModel, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    given = {spec.name: feeds[spec.name] for spec in model.inputs}
    return dict(zip([output.name for output in model.outputs], model.run(given), strict=True))


def _feeds(
    step: AssessPortability, files: Mapping[Digest, Path], model: LoadedModel
) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Batches of the workload's size, or of the model's, and how many of their samples are no repetition."""
    size = fixed_batch(model.inputs) or min(step.workload.batch_size, _SAMPLES)
    if step.samples is None:
        workload = Workload.model_validate({**step.workload.model_dump(), "batch_size": size})
        for position in range(-(-_SAMPLES // size)):
            yield feeds_for(model.inputs, workload, None, step.seed + position), size
        return
    samples = SampleBatches(step.samples, files, step.preprocessing, model.inputs)
    count = min(samples.count, _SAMPLES)
    for start in range(0, count, size):
        kept = min(size, count - start)
        yield samples.take(start + np.arange(size) % kept), kept


def computes_in_half(path: Path) -> bool:
    """Whether convolutions or matrix products have float16 weights as they are."""
    graph = onnx.load(str(path), load_external_data=False).graph
    half = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    half |= {name for node in graph.node if _is_half_constant(node) for name in node.output}
    return any(node.op_type in _COMPUTING and half.intersection(node.input) for node in graph.node)


def _is_half_constant(node: NodeProto) -> bool:
    if node.op_type == "Constant":
        return any(one.t.data_type == TensorProto.FLOAT16 for one in node.attribute if one.name == "value")
    return node.op_type == "Cast" and any(one.i == TensorProto.FLOAT16 for one in node.attribute if one.name == "to")
