"""Enxuto makes trained models lean and proves it.

    import enxuto

    report = enxuto.optimize("model.onnx", "evaluation.npz", enxuto.Goal(minimize="latency"), out="lean/")
    report = enxuto.Client("http://127.0.0.1:8000").optimize("model.onnx", "evaluation.npz", out="lean/")

The first line needs the extra ``local``; the second one needs a server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enxuto.client import Client
    from enxuto.errors import EnxutoError
    from enxuto.goal import Goal, MaxDrop, Thresholds
    from enxuto.local import benchmark, compare, inspect, optimize, profile
    from enxuto.scenario import Batching, MultiStream, Offline, Server, ServingGoal, SingleStream
    from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
    from enxuto.workload import Workload

_WHERE = {
    "Batching": "enxuto.scenario",
    "Client": "enxuto.client",
    "EnxutoError": "enxuto.errors",
    "Goal": "enxuto.goal",
    "MaxDrop": "enxuto.goal",
    "MultiStream": "enxuto.scenario",
    "Offline": "enxuto.scenario",
    "OnnxRuntimeSettings": "enxuto.settings",
    "OpenVinoSettings": "enxuto.settings",
    "Server": "enxuto.scenario",
    "ServingGoal": "enxuto.scenario",
    "SingleStream": "enxuto.scenario",
    "Thresholds": "enxuto.goal",
    "Workload": "enxuto.workload",
    "benchmark": "enxuto.local",
    "compare": "enxuto.local",
    "inspect": "enxuto.local",
    "optimize": "enxuto.local",
    "profile": "enxuto.local",
}

__all__ = [
    "Batching",
    "Client",
    "EnxutoError",
    "Goal",
    "MaxDrop",
    "MultiStream",
    "Offline",
    "OnnxRuntimeSettings",
    "OpenVinoSettings",
    "Server",
    "ServingGoal",
    "SingleStream",
    "Thresholds",
    "Workload",
    "benchmark",
    "compare",
    "inspect",
    "optimize",
    "profile",
]


def __getattr__(name: str) -> Any:
    """Import on first use: who only reads reports pays for nothing else."""
    if name not in _WHERE:
        raise AttributeError(f"module 'enxuto' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
