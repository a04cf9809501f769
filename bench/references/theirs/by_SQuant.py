"""clevercool/SQuant: its rounding, on weights given in steps. Without CUDA it takes its way in Python."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import torch
from answer import Arrays, main, source

sys.path.insert(0, source())
from quant_modules import Quantizer


def round_all(given: Arrays, _: object) -> Arrays:
    return {name: _rounded(steps) for name, steps in given.items()}


def _rounded(steps: np.ndarray) -> np.ndarray:
    args = SimpleNamespace(percent=100, sigma=0, constraint_radius=1.0, packed_element=1)
    quantizer = Quantizer(mode="squant", bit=8, args=args)
    rounded: np.ndarray = quantizer.adaptive_round(torch.from_numpy(steps), -127, 127).numpy()
    return rounded


main(round_all)
