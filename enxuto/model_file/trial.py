"""Runs a loaded model at batch 1 and 2 on random inputs: some declare a symbolic batch and hold only one size."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import prod

import numpy as np
import onnxruntime as ort

from enxuto.dataset.feeds import feeds_for, input_shape
from enxuto.errors import EnxutoError, Finding
from enxuto.runtimes.onnxruntime import OnnxRuntimeModel
from enxuto.signature import TensorSpec, fixed_batch
from enxuto.workload import Workload

_LONGEST_S = 10.0
_FATAL_LOGS = 4
_LARGEST_ELEMENTS = 1 << 24
_OTHER_SIZES = (1, 32, 224)
"""Tried for symbolic axes other than the batch, since images of one pixel run through few models."""


@dataclass(frozen=True)
class Trial:
    batch_size: int | None
    """The only size that ran, of a model that declares more."""
    advice: list[Finding]


def try_out(model: OnnxRuntimeModel) -> Trial:
    """Never fails: what goes wrong on random inputs may go well on real ones."""
    if not model.inputs or any(spec.dtype in ("string", "unknown") for spec in model.inputs):
        return Trial(None, [])
    problems: list[str] = []
    for size in _OTHER_SIZES if _other_symbols(model.inputs) else _OTHER_SIZES[:1]:
        alone = _run(model, 1, size)
        both = alone if fixed_batch(model.inputs) else _run(model, 2, size)
        if isinstance(alone, str) and isinstance(both, str):
            problems.append(alone)
            continue
        return _compare(alone, both)
    return Trial(None, [_did_not_run(problems[0])])


def _compare(alone: list[np.ndarray] | str, both: list[np.ndarray] | str) -> Trial:
    if isinstance(alone, str) or isinstance(both, str):
        only, other = (2, 1) if isinstance(alone, str) else (1, 2)
        return Trial(only, [_baked(only, other, alone if isinstance(alone, str) else f"{both}")])
    return Trial(None, [])


def _run(model: OnnxRuntimeModel, batch_size: int, other_size: int) -> list[np.ndarray] | str:
    """Outputs, or why there are none."""
    leading = {spec.shape[0] for spec in model.inputs if spec.shape}
    inputs = [_settled(spec, leading, other_size) for spec in model.inputs]
    if sum(prod(input_shape(spec, batch_size, {})) for spec in inputs) > _LARGEST_ELEMENTS:
        return "its inputs are too large to try it on random ones"
    options = ort.RunOptions()
    options.log_severity_level = _FATAL_LOGS  # a trial that fails is no error, and the finding says why
    alarm = threading.Timer(_LONGEST_S, setattr, (options, "terminate", True))
    alarm.start()
    try:
        feeds = feeds_for(inputs, Workload(batch_size=batch_size), None, seed=0)
        return model.run(feeds, options)
    except EnxutoError as error:
        return f"it did not end within {_LONGEST_S:.0f} s" if options.terminate else error.detail
    finally:
        alarm.cancel()


def _settled(spec: TensorSpec, leading: set[int | str | None], size: int) -> TensorSpec:
    """The input with a number for every axis that is not the batch: neither leads an input nor shares its symbol."""
    if spec.shape is None:
        return spec
    shape = [
        axis if position == 0 or isinstance(axis, int) or (axis and axis in leading) else size
        for position, axis in enumerate(spec.shape)
    ]
    return spec.model_copy(update={"shape": shape})


def _other_symbols(inputs: list[TensorSpec]) -> bool:
    return any(not isinstance(axis, int) for spec in inputs for axis in (spec.shape or [])[1:])


def _baked(only: int, other: int, why: str) -> Finding:
    return Finding(
        code="baked_batch",
        detail=f"The batch axis is symbolic, but the model runs only at batch {only}; at {other}: {why}",
        hint="It is measured at that size. Export again with a dynamic batch axis to run it at others.",
    )


def _did_not_run(why: str) -> Finding:
    return Finding(
        code="trial_failed",
        detail=f"The model loads, but did not run on random inputs: {why}",
        hint="It may need real data, or sizes given in workload.dims.",
    )
