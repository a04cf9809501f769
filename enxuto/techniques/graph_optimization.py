"""Graph optimization: fold constants, fuse, and drop what does nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

from enxuto.techniques.base import Technique


class GraphOptimization(Technique):
    """Folds constants, merges batch norms into convolutions, removes dead and duplicate nodes."""

    max_drift: ClassVar[float] = 1e-4
    lossless: ClassVar[bool] = True

    kind: Literal["graph_optimization"] = "graph_optimization"
