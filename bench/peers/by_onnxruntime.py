"""onnxruntime's own quantizers, as its documentation says to use them: preprocess first, U8 activations, S8 weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import onnx
from job import Job, Reader, main
from onnxruntime.quantization import (
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

_UNKNOWN_TYPES = {"DefaultTensorType": onnx.TensorProto.FLOAT}
"""What it says itself to give it where operators of other domains keep it from inferring types."""


def static(job: Job, method: str = "MinMax", activations: str = "QUInt8", **options: Any) -> None:
    quantize_static(
        _prepared(job),
        job.out / "model.onnx",
        Reader(job.feeds()),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType[activations],
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[method],
        extra_options=_UNKNOWN_TYPES,
        **options,
    )


def dynamic(job: Job, *, per_channel: bool) -> None:
    quantize_dynamic(
        _prepared(job),
        job.out / "model.onnx",
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        extra_options=_UNKNOWN_TYPES,
    )


def weight_only(job: Job, bits: int) -> None:
    quantizer = MatMulNBitsQuantizer(onnx.load(job.model), bits=bits, block_size=32, is_symmetric=True)
    quantizer.process()
    onnx.save(quantizer.model.model, job.out / "model.onnx")


def _prepared(job: Job) -> Path:
    """What the tool asks for first; symbolic shapes are left out where it cannot infer them."""
    prepared = job.scratch / "prepared.onnx"
    try:
        quant_pre_process(job.model, prepared)
    except Exception as error:  # noqa: BLE001 - it raises plain Exception
        print(f"without symbolic shapes: {error}")
        quant_pre_process(job.model, prepared, skip_symbolic_shape=True)
    return prepared


if __name__ == "__main__":
    main(
        {
            "static-minmax": static,
            "static-percentile": partial(static, method="Percentile"),
            "static-matmul": partial(static, op_types_to_quantize=["MatMul"]),
            "static-s8": partial(static, activations="QInt8"),
            "dynamic": partial(dynamic, per_channel=False),
            "dynamic-per-channel": partial(dynamic, per_channel=True),
            "matmul-4-bits": partial(weight_only, bits=4),
            "matmul-8-bits": partial(weight_only, bits=8),
        }
    )
