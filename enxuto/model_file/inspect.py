"""The inspection of an uploaded model: from cheap looks at bytes to a trial run, refusing at the first thing wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto

from enxuto.errors import BadInput
from enxuto.model_file.advice import advice_on_model
from enxuto.model_file.functions import refuse_runaway_functions
from enxuto.model_file.loading import load_for_inspection
from enxuto.model_file.proto import read_proto
from enxuto.model_file.screening import refuse_foreign_file
from enxuto.model_file.structure import branches, control_flow, operators, opsets, quantized, tensor_specs
from enxuto.model_file.trial import try_out
from enxuto.model_file.weights import Weights, read_weights
from enxuto.runtimes.onnxruntime import OnnxRuntimeModel
from enxuto.schema import Digest
from enxuto.signature import ModelInspection, fixed_batch
from enxuto.steps import InspectModel


def inspect_model(step: InspectModel, files: Mapping[Digest, Path], out: Path) -> ModelInspection:
    """Read what a model file says of itself, and load and run it once.

    Raises:
        BadInput: it is no model, or none that can be run here.
        OutOfCapacity: loading it took more memory than there is.
    """
    path = files[step.model]
    refuse_foreign_file(path, step.name)
    proto = read_proto(path, step.name)
    refuse_runaway_functions(proto)
    weights = read_weights(proto, {digest: files[digest] for digest in step.weights})
    size_bytes = sum(files[digest].stat().st_size for digest in (step.model, *step.weights))
    described = _describe(proto, weights, size_bytes)
    if not described.outputs:
        raise BadInput(
            f"{step.name} names no outputs, so that running it would give nothing.",
            code="no_outputs",
            hint="Export the model again, with what it computes as outputs of its graph.",
        )
    del proto  # makes room for the runtime's copy
    loaded = load_for_inspection(path, described.opsets)
    return _with_what_ran(described, loaded)


def _describe(proto: ModelProto, weights: Weights, size_bytes: int) -> ModelInspection:
    inputs, outputs = tensor_specs(proto)
    histogram = operators(proto)
    described = ModelInspection(
        inputs=inputs,
        outputs=outputs,
        ir_version=proto.ir_version,
        opsets=opsets(proto),
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        parameters=weights.parameters,
        operators=histogram,
        size_bytes=size_bytes,
        quantized=quantized(histogram),
        precision=weights.precision,
        control_flow=control_flow(histogram),
        batch_size=fixed_batch(inputs),
        advice=[],
        branches=branches(proto),
    )
    return described.model_copy(update={"advice": [*advice_on_model(described), *weights.advice]})


def _with_what_ran(described: ModelInspection, loaded: OnnxRuntimeModel) -> ModelInspection:
    inferred = {spec.name: spec for spec in loaded.outputs if spec.shape}
    outputs = [inferred.get(spec.name, spec) if spec.shape is None else spec for spec in described.outputs]
    trial = try_out(loaded)
    return described.model_copy(
        update={
            "outputs": outputs,
            "batch_size": described.batch_size or trial.batch_size,
            "advice": [*described.advice, *trial.advice],
        }
    )
