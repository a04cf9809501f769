"""Reports as real jobs leave them, built by hand so that pages and tables can be tested without measuring anything."""

from __future__ import annotations

import hashlib
from typing import Any

from enxuto.errors import Finding
from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.machine import Machine
from enxuto.metric import TopK
from enxuto.preprocessing import InputPreprocessing
from enxuto.report import (
    Axis,
    Baseline,
    Candidate,
    CompareReport,
    Latency,
    Measurements,
    ModelRef,
    OptimizeReport,
    Outcome,
    Replay,
    Splits,
)
from enxuto.request import CompareOptions, OptimizeOptions
from enxuto.signature import ModelInspection, TensorSpec
from enxuto.steps import Drop, Estimate, Fidelity, HostNoise
from enxuto.techniques import (
    AnyTechnique,
)
from enxuto.techniques.dynamic_int8 import DynamicInt8
from enxuto.techniques.graph_optimization import GraphOptimization
from enxuto.techniques.half_weights import HalfWeights
from enxuto.techniques.magnitude_pruning import MagnitudePruning
from enxuto.techniques.static_int8 import StaticInt8
from enxuto.techniques.weight_only import WeightOnly
from enxuto.workload import Workload

ORIGINAL_MS = 0.812
ORIGINAL_BYTES = 4_836_114


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def model_ref(name: str, size_bytes: int, model_id: str | None = None) -> ModelRef:
    return ModelRef(sha256=digest(name), size_bytes=size_bytes, id=model_id)


def machine() -> Machine:
    return Machine(
        processor="AMD EPYC 9354P 32-Core Processor",
        architecture="x86_64",
        instruction_sets=["sse4_2", "f16c", "fma", "avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"],
        cores=2,
        memory_bytes=25_282_719_744,
        system="Linux 6.8.0-45-generic",
        python="3.11.7",
        libraries={"enxuto": "0.1.0", "numpy": "2.4.6", "onnx": "1.23.0", "onnxruntime": "1.31.1", "scipy": "1.17.0"},
    )


def inspection(size_bytes: int = ORIGINAL_BYTES) -> ModelInspection:
    return ModelInspection(
        inputs=[TensorSpec(name="image", dtype="float32", shape=["batch", 1, 8, 8])],
        outputs=[TensorSpec(name="scores", dtype="float32", shape=["batch", 10])],
        ir_version=10,
        opsets={"ai.onnx": 20},
        producer="pytorch 2.13.0",
        parameters=1_207_050,
        operators={"Conv": 6, "Relu": 7, "MaxPool": 2, "Gemm": 2, "BatchNormalization": 6, "Flatten": 1},
        size_bytes=size_bytes,
        quantized=False,
        precision="float32",
        control_flow=False,
        batch_size=None,
        advice=[Finding(code="unfolded_batch_norm", detail="6 batch norms stand beside their convolutions.")],
    )


def latency(p50_ms: float, calls: int = 4_200) -> Latency:
    return Latency(
        p50_ms=p50_ms,
        p95_ms=p50_ms * 1.13 if calls >= 200 else None,
        p99_ms=p50_ms * 1.62 if calls >= 1000 else None,
        cpu_ms=p50_ms * 0.998,
        throughput=1000 / p50_ms,
        calls=calls,
        loads=7,
        raw=[digest(f"calls{load}") for load in range(7)],
    )


def speed(value: float, spread: float = 0.02) -> tuple[Estimate, list[float]]:
    """A speedup with its interval, and seven loads around it."""
    ratios = [value * (1 + spread * wobble) for wobble in (-1.4, -0.8, -0.3, 0.0, 0.4, 0.9, 1.6)]
    return Estimate(value=value, low=value * (1 - spread), high=value * (1 + spread), confidence=0.95), ratios


def drop(value: float, half_width: float = 0.006, samples: int = 300, *, relative: bool = True) -> Drop:
    worse = max(1, round(samples * max(value, 0.004)))
    return Drop(
        value=value,
        low=value - half_width,
        high=value + half_width,
        confidence=0.95,
        relative=relative,
        method="paired_score",
        samples=samples,
        worse=worse,
        better=max(0, worse - round(samples * value)),
    )


def measured(
    speedup: float | None,
    metric: float | None = None,
    lost: Drop | None = None,
    *,
    spread: float = 0.02,
    sqnr_db: float | None = None,
    memory_bytes: int | None = None,
    samples: int = 300,
) -> Measurements:
    estimate, ratios = (None, []) if speedup is None else speed(speedup, spread)
    return Measurements(
        metric=metric,
        samples=0 if metric is None else samples,
        drop=lost,
        fidelity=None if metric is None else Fidelity(sqnr_db=sqnr_db, cosine=0.9991, agreement=0.9967),
        latency=None if speedup is None else latency(ORIGINAL_MS / speedup),
        speedup=estimate,
        load_ratios=ratios,
        memory_bytes=memory_bytes,
    )


def candidate(
    name: str,
    recipe: list[AnyTechnique],
    outcome: Outcome,
    size_bytes: int | None,
    selection: Measurements,
    **more: Any,
) -> Candidate:
    reference = None if size_bytes is None else model_ref(name, size_bytes)
    return Candidate(name=name, recipe=recipe, model=reference, outcome=outcome, selection=selection, **more)


def candidates() -> list[Candidate]:
    static = StaticInt8()
    return [
        candidate(
            "graph_optimization", [GraphOptimization()], "feasible", 4_791_220,
            measured(1.09, 0.9833, drop(0.0, 0.0009), sqnr_db=118.2, memory_bytes=63_100_000),
            notes=["6 batch norms were folded into their convolutions."],
        ),
        candidate(
            "graph_optimization → static_int8", [GraphOptimization(), static], "feasible", 1_241_507,
            measured(1.86, 0.98, drop(0.0034, 0.0058), sqnr_db=29.4, memory_bytes=58_900_000),
            confirmation=measured(
                1.842, 0.9778, drop(0.0011, 0.0046, 900), spread=0.016, sqnr_db=29.1, memory_bytes=59_000_000,
                samples=900,
            ),
            notes=["Activations U8, weights S8 per channel: there is VNNI.", "The last layer stays in float32."],
        ),
        candidate(
            "graph_optimization → static_int8(calibration=percentile)",
            [GraphOptimization(), StaticInt8(calibration="percentile")], "feasible", 1_241_507,
            measured(1.81, 0.9767, drop(0.0068, 0.0031), sqnr_db=27.9, memory_bytes=59_300_000, spread=0.05),
        ),
        candidate(
            "dynamic_int8", [DynamicInt8()], "feasible", 4_210_001,
            measured(1.01, 0.9833, drop(0.0, 0.0031), sqnr_db=38.8, memory_bytes=64_400_000),
        ),
        candidate(
            "half_weights", [HalfWeights()], "feasible", 2_425_118,
            measured(0.99, 0.9833, drop(0.0, 0.0012), sqnr_db=71.3, memory_bytes=64_000_000),
            notes=["Weights are cast back to float32 when the model is loaded."],
        ),
        candidate(
            "weight_only(bits=4)", [WeightOnly(bits=4)], "infeasible", 711_924,
            measured(0.74, 0.9367, drop(0.0475, 0.0167), sqnr_db=11.6),
            reason="Loses 4.75 %, at most 6.42 % at 95 % confidence; the limit is 1 %.",
        ),
        candidate(
            "magnitude_pruning(ratio=0.9)", [MagnitudePruning(ratio=0.9)], "infeasible", 4_836_114,
            measured(None, 0.4133, drop(0.5797, 0.0493), sqnr_db=2.1),
            reason="Loses 57.97 %, at most 62.90 % at 95 % confidence; the limit is 1 %.",
        ),
        candidate(
            "weight_only", [WeightOnly()], "not_applicable", None, Measurements(),
            reason="No matrix product has weights of at least 1,024 elements. Nothing would change.",
        ),
        candidate(
            "half_weights(dtype=bfloat16)", [HalfWeights(dtype="bfloat16")], "failed", None, Measurements(),
            reason="onnxruntime has no kernel for Cast from bfloat16 on this processor (node Cast_12).",
        ),
        candidate(
            "magnitude_pruning(ratio=0.5)", [MagnitudePruning(ratio=0.5)], "skipped", None, Measurements(),
            reason="The deadline was near: nothing more was tried.",
        ),
    ]  # fmt: skip


def noise() -> list[HostNoise]:
    return [
        HostNoise(load_1m=0.4 + 0.2 * load, steal_share=0.001 * load, pressure_share=0.004 * load) for load in range(6)
    ] + [HostNoise(load_1m=3.1, steal_share=None, pressure_share=0.42)]


def optimize_report(**changes: Any) -> OptimizeReport:
    goal = Goal(minimize="latency", max_drop=MaxDrop(value=0.01), p95_ms=10.0, size_mb=5.0)
    preprocessing = {"image": InputPreprocessing.model_validate({"scale": 0.0625, "from": "NHWC", "to": "NCHW"})}
    original = measured(1.0, 0.9833, memory_bytes=62_300_000).model_copy(
        update={"speedup": None, "load_ratios": [], "fidelity": None}
    )
    confirmed = original.model_copy(update={"metric": 0.9789, "samples": 900, "latency": latency(0.809)})
    report = OptimizeReport(
        model=model_ref("digits", ORIGINAL_BYTES),
        model_name="digits.onnx",
        inspection=inspection(),
        metric=TopK(k=1),
        metric_name="top-1",
        preprocessing=preprocessing,
        workload=Workload(),
        machine=machine(),
        noise=noise(),
        margin=0.03,
        replay=Replay(
            model=digest("digits"), datasets={"evaluation": digest("eval"), "calibration": digest("eval")}, seed=7,
            enxuto="0.1.0",
        ),
        elapsed_s=38.4,
        request=OptimizeOptions(goal=goal, preprocessing=preprocessing, metric=TopK(k=1), seed=7, deadline_s=600.0),
        goal=goal,
        verdict="improved",
        why="graph_optimization → static_int8 is 1.84 times as fast as the original (95 % interval 1.81 to 1.87) and "
        "loses at most 0.57 % of top-1 at 95 % confidence, within the limit of 1 %.",
        recommended=model_ref("graph_optimization → static_int8", 1_241_507, "mdl_01k9winner"),
        winner="graph_optimization → static_int8",
        unproven=None,
        baseline=Baseline(model=model_ref("digits", ORIGINAL_BYTES), selection=original, confirmation=confirmed),
        candidates=candidates(),
        pareto=["original", "graph_optimization", "graph_optimization → static_int8", "half_weights"],
        splits=Splits(calibration=200, selection=300, confirmation=900, note="Split from evaluation by seed 7."),
    )  # fmt: skip
    return report.model_copy(update=changes)


def without_data() -> OptimizeReport:
    """Of a job that brought no data: nothing is known of accuracy, and the original is recommended."""
    goal = Goal(minimize="latency", max_drop=MaxDrop())
    report = optimize_report()
    bare = {"metric": None, "samples": 0, "drop": None, "fidelity": None}
    tried = [
        one.model_copy(
            update={
                "selection": one.selection.model_copy(update=bare),
                "confirmation": None,
                "outcome": "infeasible" if one.outcome == "feasible" else one.outcome,
                "reason": one.reason or "Without data no accuracy constraint can hold.",
            }
        )
        for one in report.candidates
    ]
    return report.model_copy(
        update={
            "metric": None, "metric_name": "none", "goal": goal, "request": OptimizeOptions(goal=goal),
            "preprocessing": {}, "verdict": "inconclusive", "winner": None, "recommended": report.model,
            "unproven": "graph_optimization → static_int8", "candidates": tried, "pareto": ["original"],
            "why": "There is no evaluation data, so no accuracy constraint can be shown to hold; the original stands.",
            "splits": Splits(calibration=0, selection=0, confirmation=0, note="No data."),
            "baseline": Baseline(
                model=report.model, selection=report.baseline.selection.model_copy(update=bare)
            ),
            "replay": report.replay.model_copy(update={"datasets": {}}),
        }
    )  # fmt: skip


def compare_report(**changes: Any) -> CompareReport:
    thresholds = Thresholds(max_drop=MaxDrop(value=0.005), min_speedup=1.2)
    lost = drop(0.0011, 0.0046, 1400)
    against = measured(1.0, 0.9789, memory_bytes=62_300_000, samples=1400).model_copy(
        update={"speedup": None, "load_ratios": [], "fidelity": None}
    )
    new = measured(1.842, 0.9778, lost, sqnr_db=29.1, memory_bytes=59_000_000, samples=1400)
    report = CompareReport(
        model=model_ref("candidate", 1_241_507),
        model_name="digits-int8.onnx",
        inspection=inspection(1_241_507),
        metric=TopK(k=1),
        metric_name="top-1",
        preprocessing={},
        workload=Workload(),
        machine=machine(),
        noise=noise(),
        margin=0.03,
        replay=Replay(model=digest("candidate"), datasets={"evaluation": digest("eval")}, seed=0, enxuto="0.1.0"),
        elapsed_s=21.7,
        request=CompareOptions(thresholds=thresholds, metric=TopK(k=1)),
        against=model_ref("digits", ORIGINAL_BYTES),
        against_name="digits.onnx",
        verdict="improved",
        why="digits-int8.onnx is 1.84 times as fast as digits.onnx, but its drop may exceed the limit of 0.5 %.",
        passed=False,
        speed=Axis(
            verdict="improved", passed=True, estimate=new.speedup,
            detail="1.84 times as fast, at least 1.81 at 95 % confidence; 1.2 was asked.",
        ),
        accuracy=Axis(
            verdict="inconclusive", passed=False,
            estimate=None,
            detail="The drop is at most 0.57 % at 95 % confidence; the limit is 0.5 %. 1,900 samples would decide.",
        ),
        memory=Axis(
            verdict="no_gain", passed=None, estimate=Estimate(value=0.947, low=0.947, high=0.947, confidence=0.95),
            detail="59.0 MB against 62.3 MB.",
        ),
        size=Axis(
            verdict="improved", passed=None, estimate=Estimate(value=0.2567, low=0.2567, high=0.2567, confidence=0.95),
            detail="1.24 MB against 4.84 MB.",
        ),
        measured=new,
        measured_against=against,
        worst_samples=[311, 42, 1033, 7],
    )  # fmt: skip
    return report.model_copy(update=changes)
