"""NNCF: post-training quantization of OpenVINO's own form and of ONNX, and compression of weights."""

from __future__ import annotations

from functools import partial

import nncf
import openvino
from job import Job, main


def quantize_ir(job: Job) -> None:
    model = openvino.Core().read_model(job.model)
    _save(job, nncf.quantize(model, **_asked(job)))


def quantize_onnx(job: Job) -> None:
    import onnx

    onnx.save(nncf.quantize(onnx.load(job.model), **_asked(job)), job.out / "model.onnx")


def compress(job: Job, mode: nncf.CompressWeightsMode) -> None:
    model = openvino.Core().read_model(job.model)
    whole = {} if mode == nncf.CompressWeightsMode.INT8_ASYM else {"all_layers": True, "group_size": -1}
    _save(job, nncf.compress_weights(model, mode=mode, **whole))


def _asked(job: Job) -> dict[str, object]:
    feeds = job.feeds()
    kind = {"model_type": nncf.ModelType.TRANSFORMER} if job.transformer else {}
    return {"calibration_dataset": nncf.Dataset(feeds), "subset_size": min(300, len(feeds)), **kind}


def _save(job: Job, model: openvino.Model) -> None:
    openvino.save_model(model, job.out / "model.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main(
        {
            "ir": quantize_ir,
            "onnx": quantize_onnx,
            "weights-int8": partial(compress, mode=nncf.CompressWeightsMode.INT8_ASYM),
            "weights-int4": partial(compress, mode=nncf.CompressWeightsMode.INT4_SYM),
        }
    )
