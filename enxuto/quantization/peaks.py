"""The largest magnitude of each channel of some tensors over calibration samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from enxuto.errors import NotApplicable
from enxuto.quantization.calibrate import observe
from enxuto.quantization.statistics import Statistics
from enxuto.techniques.base import Context


def channel_peaks(
    model: ir.Model, names: Sequence[str], statistics: Path | None, context: Context
) -> dict[str, np.ndarray]:
    """By name, one number a channel of the last axis; left out where the number of channels changes.

    Taken from the calibration's file where it has them all, else from a pass over the samples.

    Raises:
        NotApplicable: there are neither (``calibration_data_missing``).
    """
    seen = Statistics.read(statistics) if statistics is not None else None
    if seen is None or not set(names) <= set(seen.tensors):
        if context.calibration is None:
            raise NotApplicable(
                "Channels' peaks come from calibration data, and the job brings none.",
                code="calibration_data_missing",
                hint="Give a dataset for evaluation or calibration.",
            )
        seen = observe(model, dict.fromkeys(names, -1), context.calibration, context, histograms=False)
    taken = {name: seen.tensors[name] for name in names if name in seen.tensors}
    return {
        name: one.channels.peak for name, one in taken.items() if one.channels is not None and one.channel_axis == -1
    }
