"""Which recipes are worth a try: from what the model is made of and what is asked, the most promising first.

Unstructured pruning is not among them: zeros alone make no dense model faster and no file smaller, so it can win under
no goal. It is there for recipes.
"""

from __future__ import annotations

from enxuto.goal import Goal
from enxuto.recipe import Recipe
from enxuto.signature import ModelInspection
from enxuto.techniques import DynamicInt8, GraphOptimization, HalfWeights, StaticInt8, WeightOnly

_MATRIX_PRODUCTS = ("MatMul", "Gemm")


def propose(inspection: ModelInspection, goal: Goal, *, calibrated: bool) -> list[Recipe]:
    """Recipes to try, in order.

    What a technique cannot do on this model it says itself (NotApplicable), which becomes a row; only what could not
    be better than another proposal is left out here.
    """
    matrix_products = sum(inspection.operators.get(kind, 0) for kind in _MATRIX_PRODUCTS)
    convolutions = inspection.operators.get("Conv", 0)
    static: list[Recipe] = [[StaticInt8()], [StaticInt8(calibration="percentile")]] if calibrated else []
    dynamic: list[Recipe] = [[DynamicInt8()]]
    integer = dynamic + static if matrix_products > convolutions else static + dynamic
    small: list[Recipe] = [[WeightOnly(bits=4)], [WeightOnly(bits=8)], [HalfWeights()], [HalfWeights(dtype="bfloat16")]]
    graph: list[Recipe] = [[GraphOptimization()]]
    return small[:1] + integer + small[1:] + graph if goal.objective == "size" else integer + graph + small
