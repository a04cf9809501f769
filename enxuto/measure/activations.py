"""Activation memory predicted from shapes: the highest sum of the tensors that are held at one time.

Held is more than alive: ONNX Runtime plans ahead, and gives the memory of a tensor that is no longer needed to a later
one of the same shape, so that it keeps it until then. Without that, the figures of transformers come out at half.

What a kernel takes for itself while it computes is in no graph, and not in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from onnx import AttributeProto, GraphProto, NodeProto

from enxuto.measure.graph_as_run import GraphAsRun, Plan, Shapes, graph_as_run
from enxuto.settings import OnnxRuntimeSettings, RunSettings
from enxuto.signature import TensorSpec

_VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Their output is their first input, seen in another shape."""
_IN_PLACE = frozenset(
    {
        "Cast", "Clip", "Elu", "HardSigmoid", "LeakyRelu", "LogSoftmax", "Relu", "Selu", "Sigmoid", "Softmax",
        "Softplus", "Softsign", "Tanh", "ThresholdedRelu",
    }
)  # fmt: skip
"""Operators that write their output over their input where nobody else needs it. Tried, not read: of those that could,
ONNX Runtime 1.31 lets these."""


@dataclass(frozen=True)
class Prediction:
    highest_bytes: int | None
    why_not: str | None = None


class _CannotTell(Exception):
    """A size that the graph does not settle."""


def predict_activations(path: Path, settings: RunSettings, inputs: Sequence[TensorSpec], shapes: Shapes) -> Prediction:
    """Of a call with inputs of these shapes. Weights are not read again, beyond what the runtime itself reads.

    Other runtimes fuse in their own ways; of them ONNX Runtime's graph is taken for an estimate.
    """
    own = settings if isinstance(settings, OnnxRuntimeSettings) else OnnxRuntimeSettings()
    try:
        return Prediction(_highest_sum(graph_as_run(path, own, inputs, shapes), shapes))
    except _CannotTell as reason:
        return Prediction(None, str(reason))
    except Exception as error:  # noqa: BLE001 - whatever keeps a prediction from being made, the measurement stands
        return Prediction(None, f"the graph could not be read with its shapes fixed: {error}"[:300])


@dataclass
class _Buffer:
    """Memory of one tensor, or of several that take turns or share it. Moments are positions of nodes."""

    size_bytes: int
    plan: Plan | None
    """What the runtime knew of its shape; None where it knew too little, or the memory is the caller's."""
    first: int
    last: int


def _highest_sum(run: GraphAsRun, shapes: Shapes) -> int:
    change = [0] * (len(run.graph.node) + 2)
    for buffer in _buffers(run, shapes):
        change[buffer.first + 1] += buffer.size_bytes
        change[buffer.last + 2] -= buffer.size_bytes
    return max(accumulate(change))


def _buffers(run: GraphAsRun, shapes: Shapes) -> list[_Buffer]:
    """Inputs are held all the time, by the caller; weights are not counted."""
    ends, end = _last_uses(run.graph), len(run.graph.node) - 1
    holds = {name: _Buffer(_size_bytes(run, name), None, -1, end) for name in shapes}
    buffers, outputs = list(holds.values()), {value.name for value in run.graph.output}
    for at, node in enumerate(run.graph.node):
        _refuse_control_flow(node)
        for name in filter(None, node.output if node.op_type != "Constant" else ()):
            # The caller gets outputs to keep, so that they share with nobody.
            plan = None if name in outputs else run.planned.get(name)
            buffer = None if name in outputs else _shared(node, at, plan, holds) or _free(at, plan, buffers)
            if buffer is None:
                buffer = _Buffer(_size_bytes(run, name), plan, at, at)
                buffers.append(buffer)
            buffer.last = max(buffer.last, ends.get(name, at))
            holds[name] = buffer
    return buffers


def _shared(node: NodeProto, at: int, plan: Plan | None, holds: Mapping[str, _Buffer]) -> _Buffer | None:
    """The memory of an input that the node's output takes over."""
    buffer = holds.get(node.input[0]) if node.input else None
    if buffer is None or node.op_type in _VIEWS:
        return buffer
    return buffer if node.op_type in _IN_PLACE and buffer.last == at and _fits(buffer, plan) else None


def _free(at: int, plan: Plan | None, buffers: Sequence[_Buffer]) -> _Buffer | None:
    """Of those that nobody needs any more and that have this shape, the one that was freed last."""
    fitting = (each for each in buffers if each.last < at and _fits(each, plan))
    return max(fitting, key=lambda each: each.last, default=None)


def _fits(buffer: _Buffer, plan: Plan | None) -> bool:
    return plan is not None and buffer.plan == plan


def _last_uses(graph: GraphProto) -> dict[str, int]:
    ends = {name: at for at, node in enumerate(graph.node) for name in node.input if name}
    return ends | dict.fromkeys((value.name for value in graph.output), len(graph.node) - 1)


def _refuse_control_flow(node: NodeProto) -> None:
    if any(attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attribute in node.attribute):
        raise _CannotTell(f"{node.op_type} decides at run time what is computed")


def _size_bytes(run: GraphAsRun, name: str) -> int:
    if name not in run.tensors:
        raise _CannotTell(f"the shape of {name!r} is known only at run time")
    return run.tensors[name].size_bytes
