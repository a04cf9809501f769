"""Steps that look at a model layer by layer: what each costs in accuracy, and which are to blame."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.preprocessing import Preprocessing
from enxuto.schema import Digest, Value
from enxuto.steps.common import Samples, Subject
from enxuto.techniques import AnyTechnique
from enxuto.workload import Workload


class MeasureSensitivity(Value):
    """Apply a technique, and tell how much of the error at the outputs each layer brings in."""

    kind: Literal["measure_sensitivity"] = "measure_sensitivity"
    model: Digest
    technique: AnyTechnique
    """The one whose layers are told apart: it must know ``exclude``."""
    before: list[AnyTechnique] = Field(default_factory=list, max_length=15)
    """Techniques of the recipe that come first: layers are named as in what they leave."""
    statistics: Digest | None
    """What a calibration of this model found; of no use where other techniques come first."""
    samples: Samples
    """Few: the error at the outputs needs no more."""
    preprocessing: Preprocessing
    workload: Workload
    seed: int
    instruction_sets: list[str] | None = None


class LayerSensitivity(Value):
    name: str
    """Of the node, as ``exclude`` takes it."""
    operator: str
    parameters: int
    noise: float = Field(ge=0)
    """Power of the error at the outputs with only this layer changed, as a share of the outputs' power: what it adds
    itself and what is added by the tensors that it quantizes."""
    own_noise: float | None = Field(None, ge=0)
    """The part that no other layer shares, such as that of the weights; null: all of it."""
    tensor_noise: dict[str, float] = Field(default_factory=dict)
    """The part of each tensor that is quantized for this layer's sake. Neighbours share tensors, and what one adds
    comes in once however many layers want it quantized: that is how a mixture's noise is added up."""
    writes: str | None = None
    """The tensor among these that it writes."""
    follows: bool = False
    """Whether it has nothing to quantize itself, as a sum or a pool, and runs in integers between others that do."""
    sqnr_db: float | None
    """The same in decibels; null where the outputs stay the same to the bit."""
    bytes_saved: int
    """Of the file, by this layer alone."""
    nodes: list[str] = Field(default_factory=list)
    """Names of the nodes that stand for it once it is changed: what a profile of the changed model tells it by."""


class Sensitivity(Value):
    layers: list[LayerSensitivity]
    """In the graph's order."""
    whole_sqnr_db: float | None
    """With all layers changed."""
    whole_noise: float | None = None
    """The same as a share of the outputs' power."""
    samples: int


class DiagnoseModel(Value):
    """Follow original and candidate through the graph on the same samples: where does the error come in?"""

    kind: Literal["diagnose_model"] = "diagnose_model"
    original: Digest
    subject: Subject
    samples: Samples
    preprocessing: Preprocessing
    workload: Workload


class LayerError(Value):
    """What one layer does to the error on its way to the outputs."""

    name: str
    operator: str
    tensor: str
    """The layer's output."""
    sqnr_db: float | None
    """At that tensor, everything before it included; null where it is the same in both."""
    lost_db: float | None
    """By this layer: the signal-to-noise ratio at its worst input less that at its output. Inputs count as no better
    than 60 dB, since a layer that reads what is exact loses all there is to lose."""
    noise: float | None = None
    """Power of the error at the outputs with only this layer as in the candidate, as a share of the outputs' power;
    null where the two graphs do not fit together."""
    input: str | None = None
    """The tensor that the layer reads, of which the next four tell."""
    low: float
    """Smallest value of it in the original."""
    high: float
    outlier_ratio: float
    """Its largest magnitude over the 99.9th percentile of magnitudes: far above 1, few values stretch the range."""
    channel_spread: float | None
    """Its widest channel's range over the median channel's; null where there are no channels."""
    weight_spread: float | None = None
    """The same of the output channels of the layer's weights; null where it has none."""
    advice: str
    """What could be done about it, in a sentence."""


class Diagnosis(Value):
    layers: list[LayerError]
    """The most to blame first, at most 20."""
    samples: int
    note: str = ""
    """What to bear in mind, in a sentence; empty where there is nothing."""
