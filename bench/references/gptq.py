"""GPTQ: integers of a real layer, with real inputs, against the authors' code."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.references.case import Real
from bench.references.matrices import matrix_and_inputs, suits
from bench.references.place import Place, Reference
from enxuto.quantization.gptq import compensated

__all__ = ["METHOD", "REFERENCE", "compare", "suits"]

METHOD = "GPTQ"
REFERENCE = Reference("IST-DASLab/gptq", "gptq", ("torch", "transformers"), "2d65066")


def compare(real: Real, place: Place) -> Iterator[str]:
    name, weight, inputs = matrix_and_inputs(real)
    hessian = (inputs.T @ inputs).astype(np.float64)
    found = place.ask(REFERENCE, {"weight": weight, "inputs": inputs})
    signal = np.square(inputs @ weight.T).sum()

    def error(values: np.ndarray) -> float:
        return float(np.square(inputs @ (values - weight).T).sum() / signal)

    words = []
    for key, theirs in found.items():
        kind, size = key.split("|")
        symmetric, block = kind == "symmetric", int(size)
        same = compensated(weight, hessian, 4, block, symmetric=symmetric, as_reference=True)
        mine = compensated(weight, hessian, 4, block, symmetric=symmetric)
        values = same.real().reshape(len(weight), -1)[:, : weight.shape[1]]
        steps = np.repeat(same.scales[:, :, 0], block, axis=1)[:, : weight.shape[1]]
        equal = float((np.abs(values - theirs) < steps / 2).mean())
        best = mine.real().reshape(len(weight), -1)[:, : weight.shape[1]]
        words.append(
            f"{kind}, blocks of {block}: {equal:.3%} equal, error of outputs {error(values):.5f}, theirs "
            f"{error(theirs):.5f}, with our own levels {error(best):.5f}"
        )
    yield f"{name}, {weight.shape[0]} × {weight.shape[1]}, 4 bits, {len(inputs):,} inputs: {'; '.join(words)}"
