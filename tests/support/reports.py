"""Reports as real jobs leave them, built by hand so that pages and tables can be tested without measuring anything."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from enxuto.errors import Finding
from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.machine import Machine
from enxuto.metric import TopK
from enxuto.preprocessing import InputPreprocessing
from enxuto.report import (
    Axis,
    Baseline,
    BenchmarkReport,
    Candidate,
    CompareReport,
    Knee,
    LargestBatch,
    Latency,
    LayerScore,
    MatchedGroup,
    Measurements,
    ModelRef,
    NearMiss,
    Node,
    OperatorType,
    OptimizeReport,
    Outcome,
    Point,
    ProfiledModel,
    ProfileReport,
    Replay,
    Run,
    ScenarioResult,
    ServingPlan,
    SlowerOperator,
    Splits,
)
from enxuto.request import BenchmarkOptions, CompareOptions, OptimizeOptions, ProfileOptions
from enxuto.scenario import Batching, Offline, Server, ServingGoal
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.signature import ModelInspection, TensorSpec
from enxuto.steps import (
    Bandwidth,
    BatchCount,
    DataFinding,
    DataHealth,
    Diagnosis,
    Drop,
    Estimate,
    Fidelity,
    Histogram,
    HostNoise,
    LatencyProfile,
    LayerError,
    LoadRun,
    MemoryUse,
    MetricPoint,
    Peaks,
    Portability,
    ProcessorAccuracy,
    ServingOption,
    SimulatedLoad,
)
from enxuto.techniques import AnyTechnique
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
        histogram=histogram(p50_ms, calls),
        block_medians_ms=[block_medians(p50_ms, load) for load in range(7)],
    )


def histogram(p50_ms: float, calls: int) -> Histogram:
    """A peak at the median with a long tail to the right."""
    edges = [p50_ms * (0.94 + 0.01 * position) for position in range(41)]
    weights = [math.exp(-(((at - 6) / 2.5) ** 2)) + 0.05 * math.exp(-at / 14) for at in range(40)]
    return Histogram(edges_ms=edges, counts=[round(calls * one / sum(weights)) for one in weights])


def block_medians(p50_ms: float, load: int) -> list[float]:
    """Thirty blocks; in the third load somebody else used the core for a while."""
    level = p50_ms * (1 + 0.004 * math.sin(5.0 * load))
    return [
        level * (1 + 0.003 * math.sin(2.1 * block + load)) * (1.31 if load == 2 and 9 <= block < 17 else 1.0)
        for block in range(30)
    ]


def memory_use(peak_bytes: int) -> MemoryUse:
    return MemoryUse(
        peak_bytes=peak_bytes,
        runtime_bytes=41_200_000,
        loaded_bytes=peak_bytes - 6_000_000,
        steady_bytes=peak_bytes - 1_100_000,
        weights_bytes=round((peak_bytes - 41_200_000) * 0.45),
        arena_bytes=3_145_728,
        predicted_activation_bytes=2_621_440,
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
        p_value=0.3438,
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
        cpu_speedup=None if speedup is None else speed(speedup * 1.004, spread / 2)[0],
        memory_bytes=memory_bytes,
        memory=None if memory_bytes is None else memory_use(memory_bytes),
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
            "graph_optimization → static_int8, tuned", [GraphOptimization(), static], "feasible", 1_241_507,
            measured(1.83, 0.98, drop(0.0034, 0.0058), sqnr_db=29.4, memory_bytes=59_800_000, spread=0.03),
            settings=OnnxRuntimeSettings(spinning=False, arena=False),
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
    calm = [
        HostNoise(
            load_1m=0.4 + 0.2 * load,
            steal_share=0.001 * load,
            pressure_share=0.004 * load,
            disturbed_share=0.267 if load == 2 else 0.0,
        )
        for load in range(6)
    ]
    return [*calm, HostNoise(load_1m=3.1, steal_share=None, pressure_share=0.42)]


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
        splits=Splits(calibration=200, selection=300, confirmation=900),
    )  # fmt: skip
    return report.model_copy(update=changes)


def searched_report(name: str = "block1/conv1") -> OptimizeReport:
    """Of a search that found nothing within the goal, with all that it says beside its verdict."""
    report = optimize_report()
    layers = [
        LayerScore(name=name, operator="Conv", parameters=432, noise=2e-3, sqnr_db=27.0, bytes_saved=1296,
                   before_us=21.0, after_us=64.0),
        LayerScore(name="fc", operator="Gemm", parameters=640, noise=0.0, sqnr_db=None, bytes_saved=1920),
    ]  # fmt: skip
    error = LayerError(
        name=name, operator="Conv", tensor="c1", sqnr_db=11.5, lost_db=16.2, low=-3.0, high=812.0, outlier_ratio=41.0,
        channel_spread=220.0, advice="Few values stretch the range 41 times beyond the rest.",
    )  # fmt: skip
    slower = SlowerOperator(name="QuantizeLinear", operator="QuantizeLinear", before_us=0.0, after_us=812.0)
    first = report.candidates[0].model_copy(
        update={"diagnosis": Diagnosis(layers=[error], samples=32), "slower": [slower]}
    )
    return report.model_copy(
        update={
            "candidates": [first, *report.candidates[1:]],
            "layers": layers,
            "nearest": [NearMiss(name=first.name, misses=["loses 2.3 %, at most 1 % is allowed"], short_by=1.3)],
            "blocking": "max_drop",
            "portability": Portability(
                processors=[
                    ProcessorAccuracy(processor="x86_vnni", method="measured", holds=True, why="It was measured here."),
                    ProcessorAccuracy(processor="x86_avx2", method="emulated", holds=False, saturated_share=0.002,
                                      sqnr_db=4.2, why="0.2 % of the pairs saturate."),
                ],
                samples=16,
            ),
            "data": DataHealth(
                findings=[DataFinding(code="duplicates", role="evaluation", input=name, count=12, examples=[3, 9],
                                      detail="12 of 1,400 samples stand twice.", hint="Keep one of each.")],
                curve=[MetricPoint(samples=64, value=0.97, low=0.92, high=1.0)],
            ),
        }
    )  # fmt: skip


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
            "splits": Splits(calibration=0, selection=0, confirmation=0),
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
        worst_losses=[1.0, 1.0, 1.0, 0.5],
    )  # fmt: skip
    return report.model_copy(update=changes)


def _run_facts(name: str = "digits.onnx") -> dict[str, Any]:
    """What benchmark and profile reports say of the model and the conditions."""
    return {
        "model": model_ref("digits", ORIGINAL_BYTES),
        "model_name": name,
        "inspection": inspection(),
        "preprocessing": {},
        "workload": Workload(),
        "machine": machine(),
        "noise": noise(),
        "replay": Replay(model=digest("digits"), datasets={}, seed=3, enxuto="0.1.0"),
        "elapsed_s": 94.2,
    }


def curve(settings: RunSettings, instances: int, peak_per_s: float, call_ms: float) -> list[Point]:
    """Throughput that rises to a peak; a call takes a fixed time and a little more for each sample."""
    points = []
    for batch_size in (1, 2, 4, 8, 16, 24, 32, 64):
        per_s = peak_per_s * batch_size / (batch_size + call_ms * peak_per_s / 1000)
        ms = 1000 * batch_size * instances / per_s
        points.append(
            Point(
                settings=settings,
                batch_size=batch_size,
                threads=1,
                instances=instances,
                outcome="measured",
                samples_per_s=Estimate(value=per_s, low=per_s * 0.98, high=per_s * 1.015, confidence=0.95),
                p50_ms=ms,
                p95_ms=ms * 1.09 if batch_size < 64 else None,
                cpu_cores=0.99 * instances,
                memory_bytes=54_000_000 + instances * (4_900_000 + 310_000 * batch_size),
                loads=5,
                raw=[digest(f"throughput{instances}{batch_size}{load}") for load in range(5)],
            )
        )
    return points


def failed_point(settings: RunSettings, batch_size: int) -> Point:
    return Point(
        settings=settings, batch_size=batch_size, threads=1, instances=2, outcome="failed", code="out_of_memory",
        reason="The model took more memory than the step may have.",
    )  # fmt: skip


def percentiles(p50_ms: float, queries: int = 9_870) -> LatencyProfile:
    return LatencyProfile(
        queries=queries, mean_ms=p50_ms * 1.1, p50_ms=p50_ms, p90_ms=p50_ms * 1.7, p95_ms=p50_ms * 2.1,
        p99_ms=p50_ms * 3.2, p999_ms=None,
    )  # fmt: skip


def load_run(rate_per_s: float, p50_ms: float) -> LoadRun:
    return LoadRun(
        latency=percentiles(p50_ms),
        duration_s=10.02,
        queries_per_s=rate_per_s * 0.998,
        samples_per_s=rate_per_s * 0.998,
        batches=[BatchCount(size=size, count=count) for size, count in ((1, 310), (2, 420), (4, 800), (8, 610))],
        mean_wait_ms=p50_ms * 0.4,
        utilization=0.71,
        cpu_cores=1.93,
        peak_bytes=71_400_000,
        sent_late_ms=0.09,
        noise=noise()[0],
        latencies_file="latencies.npz",
    )


def serving_plan() -> ServingPlan:
    return ServingPlan(
        settings=OnnxRuntimeSettings(),
        threads=1,
        batching=Batching(max_batch=16, max_delay_ms=2.0, instances=2),
        rate_per_s=3000.0,
        memory_bytes=71_400_000,
        simulated=SimulatedLoad(
            rate_per_s=3000.0,
            latency=percentiles(3.41, 30_000),
            utilization=0.68,
            batches=[BatchCount(size=size, count=count) for size, count in ((1, 290), (2, 440), (4, 830), (8, 590))],
        ),
        measured=load_run(3000.0, 3.62),
        difference=0.0616,
        holds=True,
    )


def serving_options() -> list[ServingOption]:
    return [
        ServingOption(
            threads=1,
            batching=Batching(max_batch=max_batch, max_delay_ms=delay_ms, instances=2),
            highest_rate_per_s=rate,
            p95_ms=p95_ms,
            memory_bytes=60_000_000 + 700_000 * max_batch,
            fits=p95_ms is not None and p95_ms <= 10,
        )
        for max_batch, delay_ms, rate, p95_ms in (
            (16, 2.0, 3810.0, 7.16), (8, 2.0, 3420.0, 7.9), (32, 2.0, 3905.0, 9.6), (1, 0.0, 1650.0, None),
        )
    ]  # fmt: skip


def benchmark_report(**changes: Any) -> BenchmarkReport:
    """Offline, two runtimes, one with two copies that ran out of memory; with a serving plan."""
    ort, openvino = OnnxRuntimeSettings(), OpenVinoSettings()
    points = [*curve(ort, 1, 2400.0, 0.7), *curve(ort, 2, 4300.0, 0.7), failed_point(ort, 128)]
    points += curve(openvino, 1, 2900.0, 0.5)
    report = BenchmarkReport(
        **_run_facts(),
        request=BenchmarkOptions(
            scenario=Offline(instances=[1, 2]),
            settings=[ort, openvino],
            memory_mb=70.0,
            serving=ServingGoal(p95_ms=10.0, rate_per_s=3000.0),
            seed=3,
        ),
        why="2 copies on onnxruntime carry the most: 4,180 samples a second at batch 64. Batches beyond 24 gain less "
        "than 5 %.",
        points=points,
        knees=[
            Knee(
                settings=settings, threads=1, instances=instances, batch_size=24, samples_per_s=per_s,
                highest_samples_per_s=per_s * 1.04, within=0.05,
                detail="Doubled up to 64, where little was gained, then narrowed down between 16 and 32.",
            )
            for settings, instances, per_s in ((ort, 1, 2241.0), (ort, 2, 3819.0), (openvino, 1, 2735.0))
        ],
        largest_batches=[
            LargestBatch(
                settings=ort, memory_mb=70.0, batch_size=35, peak_bytes=69_800_000,
                tried={"32": 68_900_000, "64": 78_700_000, "48": 73_800_000, "35": 69_800_000, "128": None},
                detail="The largest batch whose process stays within 70 MB is 35; 36 was not within it.",
            )
        ],
        runs=[],
        scenario=None,
        plan=serving_plan(),
        plan_options=serving_options(),
        plan_why="2 copies with batches of up to 16, gathered for at most 2 ms, carry 3,000 requests a second within a "
        "p95 of 10 ms.",
    )  # fmt: skip
    return report.model_copy(update=changes)


def server_report(**changes: Any) -> BenchmarkReport:
    """The server scenario: rates tried until the highest that holds was found."""
    runs = [
        Run(
            settings=OnnxRuntimeSettings(), rate_per_s=rate, outcome="measured", found=load_run(rate, p50_ms),
            holds=p50_ms * 3.2 <= 10, percentile_ms=p50_ms * 3.2, raw=[digest(f"latencies{rate}")],
        )
        for rate, p50_ms in ((500.0, 0.9), (1000.0, 1.1), (2000.0, 4.6), (1500.0, 2.0), (1750.0, 3.0))
    ]  # fmt: skip
    failed = Run(
        settings=OnnxRuntimeSettings(), rate_per_s=4000.0, outcome="failed", code="step_timeout",
        reason="The queue grew without end.",
    )  # fmt: skip
    report = benchmark_report(
        request=BenchmarkOptions(scenario=Server(latency_ms=10.0), seed=3),
        why="At most 1,750 requests a second hold a p99 of 10 ms.",
        points=[], knees=[], largest_batches=[], plan=None, plan_options=[], plan_why="",
        runs=[*runs, failed],
        scenario=ScenarioResult(
            figure="highest rate", value=1750.0, unit="queries/s", valid=False,
            detail="1,750 queries a second hold; MLPerf wants runs of 600 s and 270,336 queries, these had 10 s.",
        ),
    )  # fmt: skip
    return report.model_copy(update=changes)


def node(
    name: str, op_type: str, ms: float, total_ms: float, operations: int | None, moved: int, *, integer: bool = False
) -> Node:
    gops = None if operations is None else operations / ms / 1e6
    intensity = None if operations is None else operations / moved
    peak_gops = 410.0 if integer else 104.0
    ridge = peak_gops / 18.4
    bound = None if intensity is None else "compute" if intensity > ridge else "memory"
    of_peak = moved / ms / 1e6 / 18.4 if bound != "compute" or gops is None else gops / peak_gops
    return Node(
        name=name, op_type=op_type, origin=[name], group=name.split("/")[0], ms=ms, share=ms / total_ms,
        output_bytes=moved // 3, moved_bytes=moved, operations=operations, intensity=intensity, gops=gops,
        gb_s=moved / ms / 1e6, bound=bound, of_peak=min(1.0, of_peak), integer=integer,
    )  # fmt: skip


def profiled(name: str, scale: float, *, integer: bool) -> ProfiledModel:
    rows = [
        ("stem/conv", "Conv", 0.118, 9_437_184, 140_000), ("block1/conv1", "Conv", 0.141, 18_874_368, 221_000),
        ("block1/conv2", "Conv", 0.139, 18_874_368, 221_000), ("block1/add", "Add", 0.012, 16_384, 196_608),
        ("block2/conv1", "Conv", 0.098, 14_155_776, 180_000), ("block2/conv2", "Conv", 0.101, 14_155_776, 180_000),
        ("head/pool", "GlobalAveragePool", 0.006, 8_192, 33_000), ("head/fc", "Gemm", 0.031, 2_097_152, 4_198_000),
        ("head/softmax", "Softmax", 0.003, None, 80),
    ]  # fmt: skip
    total_ms = sum(ms for _, _, ms, _, _ in rows) * scale
    nodes = [
        node(at, kind if not integer or kind != "Conv" else "QLinearConv", ms * scale, total_ms, operations,
             moved // (4 if integer else 1) + 80, integer=integer and kind == "Conv")
        for at, kind, ms, operations, moved in rows
    ]  # fmt: skip
    return ProfiledModel(
        model=model_ref(name, ORIGINAL_BYTES), model_name=name, settings=OnnxRuntimeSettings(),
        call_ms=total_ms * 1.04, recorded_ms=total_ms * 1.11, nodes_ms=total_ms, calls=1_800, nodes=nodes,
        operators=operator_types(nodes), memory=memory_use(62_300_000), raw=digest(f"profile of {name}"),
    )  # fmt: skip


def operator_types(nodes: list[Node]) -> list[OperatorType]:
    found = []
    for kind in dict.fromkeys(one.op_type for one in nodes):
        these = [one for one in nodes if one.op_type == kind]
        counted = [one.operations for one in these if one.operations is not None]
        peaks = [one.of_peak for one in these if one.of_peak is not None]
        found.append(
            OperatorType(
                op_type=kind, count=len(these), ms=sum(one.ms for one in these),
                share=sum(one.share for one in these), output_bytes=sum(one.output_bytes or 0 for one in these),
                operations=sum(counted) if counted else None, of_peak=sum(peaks) / len(peaks) if peaks else None,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: -one.ms)


def matched_groups(model: ProfiledModel, against: ProfiledModel) -> list[MatchedGroup]:
    found = []
    for group in dict.fromkeys(one.group for one in model.nodes):
        mine, theirs = ([one for one in side.nodes if one.group == group] for side in (model, against))
        ms, against_ms = sum(one.ms for one in mine), sum(one.ms for one in theirs)
        found.append(
            MatchedGroup(
                group=group, ms=ms, against_ms=against_ms, speedup=against_ms / ms,
                op_types=[one.op_type for one in mine], against_op_types=[one.op_type for one in theirs],
            )
        )  # fmt: skip
    alone = MatchedGroup(
        group="image_QuantizeLinear", ms=0.009, against_ms=None, speedup=None, op_types=["QuantizeLinear"],
        against_op_types=[],
    )  # fmt: skip
    return [*sorted(found, key=lambda one: -abs((one.against_ms or 0) - (one.ms or 0))), alone]


def profile_report(**changes: Any) -> ProfileReport:
    """One model alone."""
    report = ProfileReport(
        **_run_facts(),
        request=ProfileOptions(seed=3),
        why="Conv takes 92 % of the time and reaches 13 % of what this machine can compute.",
        profile=profiled("digits.onnx", 1.0, integer=False),
        against=None,
        peaks=Peaks(
            threads=1,
            fp32_gflops=104.0,
            int8_gops=410.0,
            bandwidth_gb_s=18.4,
            noise=noise()[0],
            cached=[Bandwidth(size_bytes=32_768, gb_s=121.0), Bandwidth(size_bytes=1_048_576, gb_s=64.0)],
        ),
        peaks_measured_before=False,
    )
    return report.model_copy(update=changes)


def profile_of_two() -> ProfileReport:
    model, against = profiled("digits-int8.onnx", 0.54, integer=True), profiled("digits.onnx", 1.0, integer=False)
    return profile_report(
        model_name="digits-int8.onnx", profile=model, against=against, groups=matched_groups(model, against),
        why="digits-int8.onnx is 1.85 times as fast; block1 gains most.", peaks_measured_before=True,
    )  # fmt: skip
