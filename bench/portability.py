"""The emulation of processors without VNNI, held against ONNX Runtime's own kernels on such a processor.

    python -m bench.portability [--model FILE --data FILE.npz] [--samples 8]

The processor is QEMU's Haswell: ``qemu-x86_64`` of Debian's package qemu-user, 7.2 or newer (older ones lack AVX2),
runs this very Python and ONNX Runtime, whose kernels then are those for AVX2. Prints for each operator, and for the
model if one is given, the share of equal output elements: emulated without saturation against ONNX Runtime here, and
emulated with saturation against ONNX Runtime there. Both are 1 where the emulation is exact. On a machine without VNNI
the first column says what saturation changes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from enxuto.judge.emulate.fused import FusedGraph
from enxuto.judge.emulate.products import products
from enxuto.judge.emulate.run import Emulator
from tests.support.integer_nodes import NODES

_PROCESSOR = "Haswell"
Feeds = Mapping[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--there", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.there:
        run_there(*given.there)
        return
    if shutil.which("qemu-x86_64") is None:
        sys.exit("qemu-x86_64 is not installed: apt-get install qemu-user")
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), given.model, given.data, given.samples)


def compare(folder: Path, model: Path | None, data: Path | None, samples: int) -> None:
    cases = list(written(folder, model, data, samples))
    command = ["qemu-x86_64", "-cpu", _PROCESSOR, sys.executable, __file__, "--there"]
    there = subprocess.Popen(
        [*command, str(folder), str(folder / "there.npz")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    here = {name: native(folder / f"{name}.onnx", feeds) for name, feeds in cases}
    exact = {name: emulated(folder / f"{name}.onnx", feeds, saturate=False) for name, feeds in cases}
    saturated = {name: emulated(folder / f"{name}.onnx", feeds, saturate=True) for name, feeds in cases}
    if there.wait():
        sys.exit("ONNX Runtime did not run on the emulated processor")
    found = np.load(folder / "there.npz")
    print(f"{'':28} {'exact = here':>13} {'saturated = there':>18} {'here = there':>13}")
    for name, _ in cases:
        shares = (alike(exact[name], here[name]), alike(saturated[name], found[name]), alike(here[name], found[name]))
        print(f"{name:28} {shares[0]:13.6f} {shares[1]:18.6f} {shares[2]:13.6f}")


def written(folder: Path, model: Path | None, data: Path | None, samples: int) -> Iterator[tuple[str, list[Feeds]]]:
    """Put each case's model and feeds where the other side reads them."""
    for node in NODES:
        (folder / f"{node.name}.onnx").write_bytes(node.model().SerializeToString())
        np.savez(folder / f"{node.name}.npz", **node.feeds())
        yield node.name, [node.feeds()]
    if model is not None and data is not None:
        shutil.copy(model, folder / "model.onnx")
        with np.load(data) as arrays:
            kept = {name: arrays[name][:samples] for name in arrays.files if name != "labels"}
        np.savez(folder / "model.npz", **kept)
        yield "model", one_by_one(kept)


def one_by_one(arrays: Feeds) -> list[Feeds]:
    count = min(len(array) for array in arrays.values())
    return [{name: array[at : at + 1] for name, array in arrays.items()} for at in range(count)]


def run_there(folder: Path, out: Path) -> None:
    outputs = {}
    for path in sorted(folder.glob("*.onnx")):
        with np.load(path.with_suffix(".npz")) as arrays:
            feeds = dict(arrays)
        outputs[path.stem] = native(path, one_by_one(feeds) if path.stem == "model" else [feeds])
    np.savez(out, **outputs)


def native(path: Path, batches: list[Feeds]) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return np.stack([np.asarray(session.run(None, {name: feeds[name] for name in names})[0]) for feeds in batches])


def emulated(path: Path, batches: list[Feeds], *, saturate: bool) -> np.ndarray:
    with tempfile.TemporaryDirectory() as scratch:
        graph = FusedGraph(path, Path(scratch))
        emulator = Emulator(graph, list(products(graph)), saturate=saturate, multiplies=1e13)
        return np.stack([emulator.run(feeds)[graph.outputs[0]] for feeds in batches])


def alike(left: np.ndarray, right: np.ndarray) -> float:
    return float((left == right).mean())


if __name__ == "__main__":
    main()
