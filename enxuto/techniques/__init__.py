"""The techniques, one file each. The union below is the registry; there is no second list."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from enxuto.techniques.base import Batches, Context, Technique, Work
from enxuto.techniques.cross_layer_equalization import CrossLayerEqualization
from enxuto.techniques.dynamic_int8 import DynamicInt8
from enxuto.techniques.graph_optimization import GraphOptimization
from enxuto.techniques.half_precision import HalfPrecision
from enxuto.techniques.half_weights import HalfWeights
from enxuto.techniques.magnitude_pruning import MagnitudePruning
from enxuto.techniques.padding_removal import PaddingRemoval
from enxuto.techniques.single_precision import SinglePrecision
from enxuto.techniques.smooth_quant import SmoothQuant
from enxuto.techniques.static_int8 import StaticInt8
from enxuto.techniques.transformer_fusion import TransformerFusion
from enxuto.techniques.weight_only import WeightOnly

AnyTechnique = Annotated[
    GraphOptimization
    | TransformerFusion
    | PaddingRemoval
    | SmoothQuant
    | HalfWeights
    | HalfPrecision
    | SinglePrecision
    | DynamicInt8
    | CrossLayerEqualization
    | StaticInt8
    | WeightOnly
    | MagnitudePruning,
    Field(discriminator="kind"),
]

__all__ = [
    "AnyTechnique",
    "Batches",
    "Context",
    "CrossLayerEqualization",
    "DynamicInt8",
    "GraphOptimization",
    "HalfPrecision",
    "HalfWeights",
    "MagnitudePruning",
    "PaddingRemoval",
    "SinglePrecision",
    "SmoothQuant",
    "StaticInt8",
    "Technique",
    "TransformerFusion",
    "WeightOnly",
    "Work",
]
