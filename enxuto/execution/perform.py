"""From a step to the function that does it. Runs in the step's own process; each kind imports only what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from enxuto.schema import Digest
from enxuto.steps import (
    ApplyRecipe,
    AssessPortability,
    CalibrateModel,
    DiagnoseModel,
    EvaluateModel,
    ExamineData,
    FindWeights,
    GatherModel,
    InspectDataset,
    InspectModel,
    MeasureLatency,
    MeasureMemory,
    MeasurePeaks,
    MeasureSensitivity,
    MeasureThroughput,
    PlanServing,
    ProfileModel,
    RenderReport,
    Result,
    RunLoad,
    Step,
    SummarizeLatency,
)


def perform(step: Step, files: Mapping[Digest, Path], out: Path) -> Result:
    """Do one step: read ``files``, write below ``out``, return what was found."""
    match step:
        case InspectModel():
            from enxuto.model_file import inspect_model

            return inspect_model(step, files, out)
        case FindWeights():
            from enxuto.model_file.external import find_weights

            return find_weights(step, files, out)
        case GatherModel():
            from enxuto.model_file.external import gather_model

            return gather_model(step, files, out)
        case InspectDataset():
            from enxuto.dataset import inspect_dataset

            return inspect_dataset(step, files, out)
        case ExamineData():
            from enxuto.dataset.examine import examine_data

            return examine_data(step, files, out)
        case CalibrateModel():
            from enxuto.quantization.calibrate import calibrate_model

            return calibrate_model(step, files, out)
        case MeasureSensitivity():
            from enxuto.judge.sensitivity import measure_sensitivity

            return measure_sensitivity(step, files, out)
        case DiagnoseModel():
            from enxuto.judge.diagnose import diagnose_model

            return diagnose_model(step, files, out)
        case AssessPortability():
            from enxuto.judge.portability import assess_portability

            return assess_portability(step, files, out)
        case ApplyRecipe():
            from enxuto.graph.transform import apply_recipe

            return apply_recipe(step, files, out)
        case EvaluateModel():
            from enxuto.judge.evaluate import evaluate_model

            return evaluate_model(step, files, out)
        case MeasureLatency():
            from enxuto.measure.latency import measure_latency

            return measure_latency(step, files, out)
        case SummarizeLatency():
            from enxuto.measure.latency import summarize_latency

            return summarize_latency(step, files, out)
        case MeasureMemory():
            from enxuto.measure.memory import measure_memory

            return measure_memory(step, files, out)
        case MeasureThroughput():
            from enxuto.measure.throughput import measure_throughput

            return measure_throughput(step, files, out)
        case RunLoad():
            from enxuto.measure.load import run_load

            return run_load(step, files, out)
        case PlanServing():
            from enxuto.serving.choose import plan_serving

            return plan_serving(step, files, out)
        case MeasurePeaks():
            from enxuto.measure.peaks import measure_peaks

            return measure_peaks(step, files, out)
        case ProfileModel():
            from enxuto.measure.profile import profile_model

            return profile_model(step, files, out)
        case RenderReport():
            from enxuto.render.page import render_report

            return render_report(step, files, out)
        case _:
            assert_never(step)
