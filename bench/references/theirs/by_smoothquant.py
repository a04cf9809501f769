"""mit-han-lab/smoothquant: its factors, and a model whose products are its ``W8A8Linear``.

The model comes with nodes ``theirs::W8A8`` in place of products; onnx's reference evaluator computes the rest.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from answer import Arrays, main, source
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

sys.path.insert(0, source())
from smoothquant.fake_quant import W8A8Linear
from smoothquant.smooth import smooth_ln_fcs


class W8A8(OpRun):  # type: ignore[misc]
    op_domain = "theirs"

    def _run(self, data: np.ndarray, weight: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray]:
        smoothed = torch.from_numpy(data / scales)
        with torch.no_grad():
            linear = W8A8Linear.from_float(_linear(weight * scales), "per_channel", act_quant="per_tensor")
            found: np.ndarray = linear(smoothed).numpy()
        return (found,)


def answer(given: Arrays, model: Path) -> Arrays:
    if model.is_file():
        evaluator = ReferenceEvaluator(onnx.load(model), new_ops=[W8A8])
        return {str(i): output for i, output in enumerate(evaluator.run(None, dict(given)))}
    found = {}
    for name in {key.partition("|")[0] for key in given}:
        weights = [given[key] for key in sorted(given) if key.startswith(f"{name}|weight")]
        found[name] = _factors(given[f"{name}|peaks"], weights, float(given[f"{name}|alpha"]))
    return found


def _factors(peaks: np.ndarray, weights: list[np.ndarray], alpha: float) -> np.ndarray:
    """What a layer normalization of ones was divided by; weights have to be multiplied by the same."""
    norm, linears = torch.nn.LayerNorm(len(peaks)), [_linear(weight) for weight in weights]
    smooth_ln_fcs(norm, linears, torch.from_numpy(peaks.astype(np.float32)), alpha)
    factors: np.ndarray = 1 / norm.weight.detach().numpy()
    for weight, linear in zip(weights, linears, strict=True):
        np.testing.assert_allclose(linear.weight.detach().numpy(), weight * factors, rtol=1e-5)
    return factors


def _linear(weight: np.ndarray) -> torch.nn.Linear:
    """Of [outputs, inputs]."""
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = torch.nn.Parameter(torch.from_numpy(weight.copy()))  # they change it in place
    return linear


main(answer)
