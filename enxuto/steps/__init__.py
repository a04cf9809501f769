"""The units of work that are run in a process of their own, and what each of them finds.

A step names files by digest only, so that its own digest says what it will find. A result names the files that its
process left by their path below the output folder; ``Done.files`` holds their digests.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, SerializeAsAny

from enxuto.errors import Finding
from enxuto.schema import Digest, Value
from enxuto.signature import DatasetInspection, ModelInspection
from enxuto.steps.applying import Applied, ApplyRecipe, Calibrated, CalibrateModel
from enxuto.steps.common import Estimate, HostNoise, Samples, Subject
from enxuto.steps.examining import DataFinding, DataHealth, ExamineData, MetricPoint
from enxuto.steps.inspecting import (
    FindWeights,
    Gathered,
    GatherModel,
    InspectDataset,
    InspectModel,
    WeightFiles,
)
from enxuto.steps.judging import Drop, EvaluateModel, Evaluation, EvaluationFiles, Fidelity
from enxuto.steps.layers import (
    DiagnoseModel,
    Diagnosis,
    LayerError,
    LayerSensitivity,
    MeasureSensitivity,
    Sensitivity,
)
from enxuto.steps.memory import MeasureMemory, MemoryUse
from enxuto.steps.portability import AssessPortability, Portability, ProcessorAccuracy
from enxuto.steps.profiling import Bandwidth, MeasurePeaks, ModelProfile, NodeProfile, Peaks, ProfileModel
from enxuto.steps.rendering import FILE_NAME, Rendered, RenderReport
from enxuto.steps.throughput import (
    MOST_QUERIES,
    Arrivals,
    BatchCount,
    BatchCurve,
    LatencyProfile,
    LoadRun,
    LoadTraces,
    MeasureThroughput,
    OneByOne,
    PlanServing,
    Poisson,
    QuietPart,
    RunLoad,
    ServingChoice,
    ServingOption,
    SimulatedLoad,
    Throughput,
)
from enxuto.steps.timing import (
    CALLS_FOR_P95,
    CALLS_FOR_P99,
    Histogram,
    LatencyLoad,
    LatencySummary,
    MeasureLatency,
    Percentiles,
    SummarizeLatency,
    Timing,
)

__all__ = [
    "CALLS_FOR_P95",
    "CALLS_FOR_P99",
    "FILE_NAME",
    "MEASURES",
    "MOST_QUERIES",
    "RESULTS",
    "Applied",
    "ApplyRecipe",
    "Arrivals",
    "AssessPortability",
    "Bandwidth",
    "BatchCount",
    "BatchCurve",
    "CalibrateModel",
    "Calibrated",
    "DataFinding",
    "DataHealth",
    "DiagnoseModel",
    "Diagnosis",
    "Done",
    "Drop",
    "Estimate",
    "EvaluateModel",
    "Evaluation",
    "EvaluationFiles",
    "ExamineData",
    "Failed",
    "Fidelity",
    "FindWeights",
    "GatherModel",
    "Gathered",
    "Histogram",
    "HostNoise",
    "InspectDataset",
    "InspectModel",
    "LatencyLoad",
    "LatencyProfile",
    "LatencySummary",
    "LayerError",
    "LayerSensitivity",
    "LoadRun",
    "LoadTraces",
    "MeasureLatency",
    "MeasureMemory",
    "MeasurePeaks",
    "MeasureSensitivity",
    "MeasureThroughput",
    "MemoryUse",
    "MetricPoint",
    "ModelProfile",
    "NodeProfile",
    "OneByOne",
    "Outcome",
    "Peaks",
    "Percentiles",
    "PlanServing",
    "Poisson",
    "Portability",
    "ProcessorAccuracy",
    "ProfileModel",
    "QuietPart",
    "RenderReport",
    "Rendered",
    "Result",
    "RunLoad",
    "Samples",
    "Sensitivity",
    "ServingChoice",
    "ServingOption",
    "SimulatedLoad",
    "Step",
    "Subject",
    "SummarizeLatency",
    "Throughput",
    "Timing",
    "WeightFiles",
    "outcome_from_document",
    "step_key",
]

Step = Annotated[
    InspectModel
    | FindWeights
    | GatherModel
    | InspectDataset
    | ExamineData
    | CalibrateModel
    | ApplyRecipe
    | MeasureSensitivity
    | EvaluateModel
    | MeasureLatency
    | SummarizeLatency
    | MeasureMemory
    | MeasureThroughput
    | RunLoad
    | PlanServing
    | MeasurePeaks
    | ProfileModel
    | DiagnoseModel
    | AssessPortability
    | RenderReport,
    Field(discriminator="kind"),
]
Result = (
    ModelInspection
    | WeightFiles
    | Gathered
    | DatasetInspection
    | DataHealth
    | Calibrated
    | Applied
    | Sensitivity
    | Evaluation
    | LatencyLoad
    | LatencySummary
    | MemoryUse
    | Throughput
    | LoadRun
    | ServingChoice
    | Peaks
    | ModelProfile
    | Diagnosis
    | Portability
    | Rendered
)

RESULTS: dict[str, type[Value]] = {
    "inspect_model": ModelInspection,
    "find_weights": WeightFiles,
    "gather_model": Gathered,
    "inspect_dataset": DatasetInspection,
    "examine_data": DataHealth,
    "calibrate_model": Calibrated,
    "apply_recipe": Applied,
    "measure_sensitivity": Sensitivity,
    "evaluate_model": Evaluation,
    "measure_latency": LatencyLoad,
    "summarize_latency": LatencySummary,
    "measure_memory": MemoryUse,
    "measure_throughput": Throughput,
    "run_load": LoadRun,
    "plan_serving": ServingChoice,
    "measure_peaks": Peaks,
    "profile_model": ModelProfile,
    "diagnose_model": Diagnosis,
    "assess_portability": Portability,
    "render_report": Rendered,
}
"""What each kind of step finds."""

MEASURES = frozenset(
    {
        "measure_latency",
        "measure_memory",
        "measure_throughput",
        "run_load",
        "measure_peaks",
        "profile_model",
    }
)
"""Kinds whose result holds for one machine only, and that want the machine for themselves."""

R = TypeVar("R", bound=Value)


class Done(Value, Generic[R]):
    """A step that ended well."""

    status: Literal["done"] = "done"
    result: SerializeAsAny[R]
    files: dict[str, Digest]
    """Digest of each file that the step left, by its path below the output folder."""
    elapsed_s: float


class Failed(Value):
    """A step that did not: the row that a candidate becomes."""

    status: Literal["failed"] = "failed"
    finding: Finding
    elapsed_s: float


Outcome = Done[Value] | Failed


def step_key(step: Value, machine: str) -> str:
    """Digest of a step and of everything that it reads; what is measured also depends on the machine."""
    kind = getattr(step, "kind", "")
    salt = machine if kind in MEASURES else ""
    return hashlib.sha256(f"{salt}\n{step.model_dump_json(by_alias=True)}".encode()).hexdigest()


def outcome_from_document(kind: str, document: dict[str, Any]) -> Outcome:
    """Read what ``model_dump(mode="json")`` wrote of the outcome of a step of this kind; raises ValidationError."""
    if document.get("status") == "failed":
        return Failed.model_validate(document)
    result = RESULTS[kind].model_validate(document["result"])
    return Done[Value].model_validate({**document, "result": result})
