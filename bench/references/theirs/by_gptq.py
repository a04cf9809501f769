"""IST-DASLab/gptq: a matrix in 4 bits by its ``GPTQ``, which wants CUDA for nothing but to wait for it."""

from __future__ import annotations

import sys

import numpy as np
import torch
from answer import Arrays, main, source

sys.path.insert(0, source())
from gptq import GPTQ
from quant import Quantizer

_AT_ONCE = 512


def compensate(given: Arrays, _: object) -> Arrays:
    torch.cuda.synchronize = lambda *_: None  # type: ignore[assignment]
    return {
        f"{kind}|{size}": _real(given["weight"], given["inputs"], size, kind == "symmetric")
        for kind in ("symmetric", "zero points")
        for size in (32, 128)
    }


def _real(weight: np.ndarray, inputs: np.ndarray, size: int, symmetric: bool) -> np.ndarray:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = torch.from_numpy(weight.copy())
    solver = GPTQ(layer)
    solver.quantizer = Quantizer()
    solver.quantizer.configure(4, perchannel=True, sym=symmetric, mse=False)
    for start in range(0, len(inputs), _AT_ONCE):
        solver.add_batch(torch.from_numpy(inputs[start : start + _AT_ONCE]), None)
    solver.fasterquant(blocksize=128, percdamp=0.01, groupsize=size)
    real: np.ndarray = layer.weight.data.numpy()
    return real


main(compensate)
