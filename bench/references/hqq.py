"""HQQ: integers of a real layer against the authors' code, with the paper's real zero points, and the loss of ours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.references.case import Real
from bench.references.matrices import matrix_and_inputs, suits
from bench.references.place import Place, Reference
from enxuto.quantization.blocks import in_blocks, nearest
from enxuto.quantization.hqq import half_quadratic, norm_of_errors, real_zeros, shrunken

__all__ = ["METHOD", "REFERENCE", "compare", "suits"]

METHOD = "HQQ"
REFERENCE = Reference("mobiusml/hqq", "hqq", ("torch",), "e0b1d00")
_TOP = 15


def compare(real: Real, place: Place) -> Iterator[str]:
    name, weight, _ = matrix_and_inputs(real)
    blocks = {size: in_blocks(weight, size) for size in (32, 128)}
    found = place.ask(REFERENCE, {str(size): each.reshape(-1, size) for size, each in blocks.items()})
    words = []
    for size, values in blocks.items():
        integers, zeros, scales = papers(values)
        theirs = found[f"{size}|integers"].reshape(values.shape)
        back = (theirs - found[f"{size}|zero"].reshape(zeros.shape)) / found[f"{size}|scale"].reshape(scales.shape)
        norms = [
            norm_of_errors(values, each).mean() / size
            for each in (
                (integers - zeros) * scales,
                back,
                half_quadratic(values, 4).real(),
                nearest(values, 4, symmetric=False).real(),
            )
        ]
        words.append(
            f"blocks of {size}: {float((integers == theirs).mean()):.3%} equal, mean of error^0.7 {norms[0]:.5f}, "
            f"theirs {norms[1]:.5f}, with whole zero points {norms[2]:.5f}, by clipping alone {norms[3]:.5f}"
        )
    yield f"{name}, {weight.shape[0]} × {weight.shape[1]}, 4 bits: {'; '.join(words)}"


def papers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integers, zero points and scales: the paper's loop, with real zero points, made of our two steps."""
    low, high = values.min(axis=-1, keepdims=True), values.max(axis=-1, keepdims=True)
    scales = (high - low) / np.float32(_TOP)
    zeros, beta, least = -low / scales, 10.0, np.inf
    for _ in range(20):
        integers = np.rint(values / scales + zeros).clip(0, _TOP)
        back = (integers - zeros) * scales
        zeros = real_zeros(integers, values - shrunken(values - back, beta), scales)
        beta *= 1.01
        error = np.abs(values - back).mean()
        if error >= least:
            break
        least = error
    return np.rint(values / scales + zeros).clip(0, _TOP), zeros, scales
