"""The emulation of processors without VNNI, held against ONNX Runtime's own kernels on such a processor.

    python -m bench.portability [--model FILE --data FILE.npz] [--samples 8]

The processor is QEMU's Haswell: ``qemu-x86_64`` of Debian's package qemu-user, 7.2 or newer (older ones lack AVX2),
runs this very Python and ONNX Runtime, whose kernels then are those for AVX2. Prints for each operator, and for the
model if one is given, the share of equal output elements and the ratio of signal to noise: emulated without saturation
against ONNX Runtime here, emulated with saturation against ONNX Runtime there, and ONNX Runtime here against there.
Sums of integers are equal to the bit. A model that computes in floating point besides, as transformers do, differs
there by rounding, which an activation at the border of two levels makes one level. On a machine without VNNI the first
column says what saturation changes.
"""

from __future__ import annotations

import argparse
import math
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
    print(f"{'':28} {'exact, here':>22} {'saturated, there':>22} {'here, there':>22}")
    for name, _ in cases:
        pairs = ((exact[name], here[name]), (saturated[name], found[name]), (here[name], found[name]))
        print(f"{name:28} {' '.join(f'{alike(*pair):13.6f} {decibels(*pair):5.1f} dB' for pair in pairs)}")


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


def decibels(output: np.ndarray, expected: np.ndarray) -> float:
    """Ratio of signal to noise; infinite where nothing differs."""
    signal, noise = (float(np.square(each.astype(np.float64)).sum()) for each in (expected, output - 1.0 * expected))
    return 10 * math.log10(signal / noise) if noise and signal else math.inf


def alike(left: np.ndarray, right: np.ndarray) -> float:
    return float((left == right).mean())


if __name__ == "__main__":
    main()
