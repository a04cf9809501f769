"""Neural Compressor for ONNX: static, dynamic and SmoothQuant."""

from __future__ import annotations

from job import Job, Reader, main
from onnx_neural_compressor.quantization import QuantFormat, config
from onnx_neural_compressor.quantization.quantize import quantize


def static(job: Job) -> None:
    _quantize(job, config.StaticQuantConfig(_reader(job), per_channel=True))


def static_qdq(job: Job) -> None:
    _quantize(job, config.StaticQuantConfig(_reader(job), per_channel=True, quant_format=QuantFormat.QDQ))


def smooth(job: Job) -> None:
    options = {"SmoothQuant": True, "SmoothQuantAlpha": 0.5, "SmoothQuantFolding": True}
    _quantize(job, config.StaticQuantConfig(_reader(job), extra_options=options))


def dynamic(job: Job) -> None:
    _quantize(job, config.DynamicQuantConfig())


def _reader(job: Job) -> Reader:
    return Reader(job.feeds())


def _quantize(job: Job, how: config.BaseConfig) -> None:
    quantize(str(job.model), str(job.out / "model.onnx"), how)


if __name__ == "__main__":
    main({"static": static, "static-qdq": static_qdq, "smooth": smooth, "dynamic": dynamic})
