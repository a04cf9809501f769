"""mobiusml/hqq: ``optimize_weights_proximal`` on blocks, from the levels that its quantizer starts from."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
from answer import Arrays, main, source

_BITS = 4


def optimize(given: Arrays, _: object) -> Arrays:
    found: dict[str, np.ndarray] = {}
    for size, blocks in given.items():
        values = torch.from_numpy(blocks)
        low, high = values.min(dim=1, keepdim=True)[0], values.max(dim=1, keepdim=True)[0]
        scale = ((2**_BITS - 1) / (high - low)).clamp(max=2e4)
        zero = -low * scale
        limits = [0, 2**_BITS - 1]
        integers, scale, zero = _module().optimize_weights_proximal(
            tensor=values, scale=scale, zero=zero, min_max=limits, axis=1, device="cpu"
        )
        found |= {f"{size}|integers": integers.numpy(), f"{size}|scale": scale.numpy(), f"{size}|zero": zero.numpy()}
    return found


def _module():  # type: ignore[no-untyped-def]
    """Alone: the package around it wants what is not needed here."""
    spec = importlib.util.spec_from_file_location("optimize", Path(source()) / "hqq" / "core" / "optimize.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["optimize"] = module
    spec.loader.exec_module(module)
    return module


main(optimize)
