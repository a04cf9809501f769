"""Graph optimization: fold constants, fuse, and drop what does nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

from enxuto.errors import NotApplicable
from enxuto.techniques.base import Context, Technique, Work


class GraphOptimization(Technique):
    """Folds constants, merges batch norms and the standardization of inputs into products, removes dead and duplicate
    nodes. In front of a quantization leave it out where inputs are features of very different ranges: what standardizes
    them is gone then, and they meet in one scale."""

    max_drift: ClassVar[float] = 1e-4
    lossless: ClassVar[bool] = True

    kind: Literal["graph_optimization"] = "graph_optimization"

    def apply(self, work: Work, context: Context) -> Work:
        from enxuto.graph.normalize import normalized
        from enxuto.graph.optimize import difference, optimized

        model = optimized(work.model, scaling=True)
        changed = difference(normalized(work.model), model)
        if not changed:
            raise NotApplicable(
                "The graph holds nothing to fold, to merge or to remove.",
                code="graph_already_optimal",
                hint="Leave this technique out of the recipe.",
            )
        return work.with_model(model, changed)
