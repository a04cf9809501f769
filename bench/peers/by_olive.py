"""Olive: its passes for weights in four bits, as a workflow of one pass each."""

from __future__ import annotations

import shutil
from functools import partial

from job import Job, main
from olive.workflows import run


def one_pass(job: Job, name: str) -> None:
    run(
        {
            "input_model": {"type": "ONNXModel", "model_path": str(job.model)},
            "passes": {"only": {"type": name}},
            "cache_dir": str(job.scratch / "cache"),
            "output_dir": str(job.scratch / "done"),
            "evaluate_input_model": False,
            "log_severity_level": 3,
        }
    )
    for path in sorted((job.scratch / "done").rglob("*")):
        if path.suffix in {".onnx", ".data"}:
            shutil.copy(path, job.out / path.name)


if __name__ == "__main__":
    main(
        {
            "rtn": partial(one_pass, name="OnnxBlockWiseRtnQuantization"),
            "hqq": partial(one_pass, name="OnnxHqqQuantization"),
            "k-quant": partial(one_pass, name="OnnxKQuantQuantization"),
        }
    )
