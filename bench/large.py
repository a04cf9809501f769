"""Peak memory of working on a model past 2 GiB, whose weights lie in another file, as a multiple of the model.

    python -m bench.large [--gib 2.5] [--folder FOLDER] [--recipe weight_only dynamic_int8 …]

A network of matrix products of that size is made up in FOLDER (a temporary one by default), inspected, and changed by
each recipe; each in the sandboxed processes that a job would use. Memory is what the largest of them had resident, the
pages of mapped files included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx

_WIDTH = 4096
_LAYER_BYTES = 4 * _WIDTH * _WIDTH
_CHILD = """
import json, resource, sys, time
from enxuto.local import _workbench
from enxuto.steps import ApplyRecipe
from enxuto.workload import Workload
model, recipe = sys.argv[1], json.loads(sys.argv[2])
with _workbench(None) as bench:
    subject = bench.model(model)
    if recipe:
        step = ApplyRecipe.model_validate({"model": subject.file, "recipe": recipe, "calibration": None,
                                           "preprocessing": {}, "seed": 0, "workload": Workload()})
        outcome = bench._runner(step, stop=lambda: False)
        if outcome.status != "done":
            raise SystemExit(outcome.finding.detail)
        print(outcome.result.size_bytes, len(outcome.result.beside_files), end=" ")
    else:
        print(subject.inspection.size_bytes, 1, end=" ")
use = resource.getrusage(resource.RUSAGE_CHILDREN)
print(use.ru_maxrss * 1024, use.ru_utime + use.ru_stime)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=2.5)
    parser.add_argument("--folder", type=Path, help="Where the model is made; needs room for it four times.")
    parser.add_argument("--recipe", nargs="*", default=["weight_only", "dynamic_int8", "graph_optimization"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = make_model(Path(folder), max(1, round(arguments.gib * 2**30 / _LAYER_BYTES)))
        size_bytes = sum(each.stat().st_size for each in path.parent.iterdir())
        print(f"{size_bytes / 1e9:.2f} GB in {len(list(path.parent.iterdir()))} files")
        print(f"{'':22s} {'out, GB':>8s} {'files beside':>13s} {'peak ÷ model':>13s} {'CPU s':>7s} {'took s':>7s}")
        for name in ("inspect", *arguments.recipe):
            print(row(name, path, size_bytes), flush=True)


def make_model(folder: Path, layers: int) -> Path:
    """Products of random square matrices, each written as it is drawn."""
    random = np.random.default_rng(0)
    names = [f"w{number}" for number in range(layers)]
    weights = []
    with (folder / "weights.bin").open("wb") as file:
        for name in names:
            tensor = onnx.TensorProto(
                name=name, data_type=onnx.TensorProto.FLOAT, dims=[_WIDTH, _WIDTH],
                data_location=onnx.TensorProto.EXTERNAL,
            )  # fmt: skip
            for key, value in (("location", "weights.bin"), ("offset", file.tell()), ("length", _LAYER_BYTES)):
                tensor.external_data.add(key=key, value=str(value))
            drawn = random.standard_normal((_WIDTH, _WIDTH), dtype=np.float32) / _WIDTH**0.5
            file.write(drawn.tobytes())
            weights.append(tensor)
    nodes = [
        onnx.helper.make_node("MatMul", ["x" if not number else f"h{number}", name], [f"h{number + 1}"])
        for number, name in enumerate(names)
    ]
    shape = ["batch", _WIDTH]
    graph = onnx.helper.make_graph(
        nodes, "products",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info(f"h{layers}", onnx.TensorProto.FLOAT, shape)],
        weights,
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def row(name: str, path: Path, size_bytes: int) -> str:
    recipe = [] if name == "inspect" else [{"kind": name}]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(path), json.dumps(recipe)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"{name:22s} {done.stderr.strip().splitlines()[-1][:160] if done.stderr.strip() else 'failed'}"
    out_bytes, beside, peak_bytes, cpu_s = done.stdout.split()
    return (
        f"{name:22s} {int(out_bytes) / 1e9:8.2f} {beside:>13s} {int(peak_bytes) / size_bytes:12.2f}× "
        f"{float(cpu_s):7.1f} {time.monotonic() - started:7.1f}"
    )


if __name__ == "__main__":
    main()
