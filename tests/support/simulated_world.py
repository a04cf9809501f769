"""Answers a plan's steps from facts about models, so that what a plan decides can be told from the facts alone.

The real steps have tests of their own; a plan is a pure function of the replies, and these are replies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from enxuto.errors import Finding
from enxuto.judge.student import NORMAL
from enxuto.recipe import recipe_name
from enxuto.schema import Digest, Value
from enxuto.settings import OnnxRuntimeSettings, RunSettings
from enxuto.signature import ArraySpec, DatasetInput, DatasetInspection, ModelInput, ModelInspection, TensorSpec
from enxuto.steps import (
    Applied,
    ApplyRecipe,
    AssessPortability,
    Calibrated,
    CalibrateModel,
    DataHealth,
    DiagnoseModel,
    Diagnosis,
    Done,
    Drop,
    EvaluateModel,
    Evaluation,
    ExamineData,
    Failed,
    Fidelity,
    Histogram,
    HostNoise,
    LatencyLoad,
    LatencySummary,
    LayerError,
    LayerSensitivity,
    MeasureLatency,
    MeasureMemory,
    MeasurePeaks,
    MeasureSensitivity,
    MemoryUse,
    ModelProfile,
    NodeProfile,
    Outcome,
    Peaks,
    Percentiles,
    Portability,
    ProcessorAccuracy,
    ProfileModel,
    Sensitivity,
    Step,
    Subject,
    SummarizeLatency,
    Timing,
)


def digest(text: str) -> Digest:
    return hashlib.sha256(text.encode()).hexdigest()


ORIGINAL = digest("original")


def a_model(name: str = "net.onnx", **changes: object) -> ModelInput:
    inspection = ModelInspection(
        inputs=[TensorSpec(name="input", dtype="float32", shape=["batch", 4])],
        outputs=[TensorSpec(name="logits", dtype="float32", shape=["batch", 3])],
        ir_version=10,
        opsets={"ai.onnx": 18},
        producer="test",
        parameters=1000,
        operators={"Conv": 3, "Gemm": 2},
        size_bytes=4_000_000,
        quantized=False,
        precision="float32",
        control_flow=False,
        batch_size=None,
        advice=[],
    )
    return ModelInput(file=ORIGINAL, name=name, inspection=inspection.model_copy(update=changes))


def a_dataset(count: int = 1000, name: str = "evaluation.npz") -> DatasetInput:
    array = ArraySpec(name="input", dtype="float32", shape=[count, 4], size_bytes=count * 16, file="array_0.npy")
    labels = ArraySpec(name="labels", dtype="int64", shape=[count], size_bytes=count * 8, file="labels.npy")
    inspection = DatasetInspection(
        format="npz", arrays=[array], labels=labels, label_kind="integer", count=count, size_bytes=count * 24
    )
    arrays = {"array_0.npy": digest(f"{name} array"), "labels.npy": digest(f"{name} labels")}
    return DatasetInput(file=digest(name), name=name, inspection=inspection, arrays=arrays)


@dataclass(frozen=True)
class Facts:
    """What is true of a model in this world."""

    speedup: float = 1.0
    cpu_speedup: float | None = None
    """Where processor time tells something else than wall time does."""
    size_bytes: int = 4_000_000
    drop: float = 0.0
    drop_spread: float = 0.002
    """Half-width of the interval of the drop at 95 % confidence."""
    memory_bytes: int = 100_000_000
    left_by_loading: Callable[[int], int] = lambda load: 0
    """Bytes, by the number of the process."""
    sqnr_db: float = 30.0
    fails: dict[str, str] = field(default_factory=dict)
    """Code of the finding, by the kind of the step that fails."""
    same_as_original: bool = False


@dataclass
class World:
    """Runs steps by looking up what is true of the models that they name. Any recipe not named is a plain copy."""

    recipes: dict[str, Facts]
    original: Facts = field(default_factory=Facts)
    step_s: float = 0.5
    calls: int = 300
    """Timed calls of each model in a load."""
    luck: float = 0.002
    """Standard deviation of a load's ratio."""
    disturbed_loads: frozenset[int] = frozenset()
    """Loads during which somebody else used the core from beginning to end, and what is not the original suffered."""
    mostly_disturbed_loads: frozenset[int] = frozenset()
    """Likewise, but for a few moments, so that the probe was seen to be quick and too few rounds were quiet."""
    disturbed_share: float | None = 0.0
    """Share of each load's rounds that were set aside."""
    profiles: dict[Digest, ModelProfile] = field(default_factory=dict)
    """What the runtime records of each model."""
    peaks: Peaks | None = None
    """Of the machine, for one thread; None where they cannot be measured."""
    proven: Callable[[Facts], Facts] = lambda facts: facts
    """What shows of a model on samples and loads that chose nothing, where it looked otherwise to those that did."""
    under: Callable[[Facts, RunSettings], Facts] = lambda facts, settings: facts
    """What is true of a model under other settings than ONNX Runtime's defaults."""
    broken: frozenset[str] = frozenset()
    """Kinds of step that fail whatever they are about."""
    layers: list[LayerSensitivity] = field(default_factory=list)
    """What each layer costs when it is quantized."""
    saturates: Callable[[Digest], bool] = lambda model: False
    """Whether a model loses its accuracy on AVX2 without VNNI."""
    done: list[Step] = field(default_factory=list)
    on_step: Callable[[Step], None] = lambda step: None

    def __call__(self, step: Step, *, stop: Callable[[], bool]) -> Outcome:
        self.on_step(step)
        self.done.append(step)
        broken = Finding(code="step_crashed", detail=f"{step.kind} failed with step_crashed.")
        result = broken if step.kind in self.broken else self._find(step)
        if isinstance(result, Finding):
            return Failed(finding=result, elapsed_s=self.step_s)
        names = [value for key, value in result if key in ("file", "scores_file", "calls_file", "profile_file")]
        names += getattr(result, "outputs_files", {}).values()
        files = {name: self._file(step, name) for name in names}
        return Done[Value](result=result, files=files, elapsed_s=self.step_s)

    def kinds(self) -> list[str]:
        return [step.kind for step in self.done]

    def _file(self, step: Step, name: str) -> Digest:
        if isinstance(step, ApplyRecipe):
            called = recipe_name(step.recipe)
            return ORIGINAL if self._facts_of(called).same_as_original else digest(called)
        return digest(f"{step.model_dump_json()} {name}")

    def _facts_of(self, called: str) -> Facts:
        return self.recipes.get(called, Facts(fails={"apply_recipe": "not_applicable"}))

    def _facts(self, subject: Subject) -> Facts:
        facts = self.original
        if subject.model != ORIGINAL:
            facts = next(facts for called, facts in self.recipes.items() if digest(called) == subject.model)
        return facts if subject.settings == OnnxRuntimeSettings() else self.under(facts, subject.settings)

    def _find(self, step: Step) -> Value:
        match step:
            case ApplyRecipe():
                facts = self._facts_of(recipe_name(step.recipe))
                applied = Applied(file="model.onnx", size_bytes=facts.size_bytes, notes=[])
                return self._unless_failing(facts, step, applied)
            case EvaluateModel():
                return self._unless_failing(self._facts(step.subject), step, self._evaluate(step))
            case MeasureLatency():
                failing = [self._facts(subject) for subject in step.subjects]
                for facts in failing:
                    if step.kind in facts.fails:
                        return self._unless_failing(facts, step, facts)  # type: ignore[arg-type]
                return self._time(step)
            case SummarizeLatency():
                spread = Histogram(edges_ms=[0.9, 1.6], counts=[2000])
                pooled = Percentiles(calls=2000, p50_ms=1.0, p95_ms=1.2, p99_ms=1.5, histogram=spread)
                return LatencySummary(subjects=[pooled] * 32)
            case MeasureMemory():
                facts = self._facts(step.subject)
                peak = facts.memory_bytes
                peak += facts.left_by_loading(step.load)
                use = MemoryUse(
                    peak_bytes=peak, runtime_bytes=50_000_000, loaded_bytes=peak, steady_bytes=peak,
                    weights_bytes=facts.memory_bytes - 50_000_000,
                )  # fmt: skip
                return self._unless_failing(facts, step, use)
            case ProfileModel():
                profile = self.profiles.get(step.subject.model) or self._profile(step)
                return self._unless_failing(self._facts(step.subject), step, profile)
            case MeasurePeaks() if self.peaks is None:
                return Finding(code="out_of_memory", detail="measure_peaks failed.")
            case MeasurePeaks():
                return self.peaks.model_copy(update={"threads": step.threads})
            case CalibrateModel():
                return Calibrated(file="statistics.npz", tensors=5, samples=100, random=step.samples is None)
            case ExamineData():
                return DataHealth(findings=[], curve=[])
            case MeasureSensitivity():
                return Sensitivity(layers=self.layers, whole_sqnr_db=20.0, samples=16)
            case DiagnoseModel():
                return _diagnosis()
            case AssessPortability():
                return self._portability(step)
            case _:
                raise AssertionError(f"this world does not know {step.kind}")

    def _profile(self, step: ProfileModel) -> ModelProfile:
        ms = 1 / self._facts(step.subject).speedup
        node = NodeProfile(
            name="conv1", op_type="Conv", origin=["conv1"], tensor="conv1_out", ms=ms, output_bytes=None,
            moved_bytes=None, weight_bytes=None, operations=None, precision=None,
        )  # fmt: skip
        noise = HostNoise(load_1m=0.1, steal_share=0.0, pressure_share=0.0)
        return ModelProfile(call_ms=ms, recorded_ms=ms, calls=9, nodes=[node], noise=noise, profile_file="profile.json")

    def _portability(self, step: AssessPortability) -> Portability:
        held = {name: name != "x86_avx2" or not self.saturates(step.model) for name in step.processors}
        return Portability(
            processors=[
                ProcessorAccuracy(processor=name, method="emulated", holds=holds, why="as this world has it")
                for name, holds in held.items()
            ],
            samples=16,
        )

    def _unless_failing(self, facts: Facts, step: Step, result: Value) -> Value:
        code = facts.fails.get(step.kind)
        if code is None:
            return result
        inapplicable = code == "not_applicable"
        return Finding(code=code, detail=f"{step.kind} failed with {code}.", inapplicable=inapplicable)

    def _evaluate(self, step: EvaluateModel) -> Evaluation:
        facts = self._facts(step.subject)
        count = step.samples.stop - step.samples.start
        if count > step.samples.count // 2 and step.subject.model != ORIGINAL:
            facts = self.proven(facts)
        spread = facts.drop_spread * NORMAL.inv_cdf(step.confidence) / NORMAL.inv_cdf(0.95)
        drop = Drop(
            value=facts.drop,
            low=facts.drop - spread,
            high=facts.drop + spread,
            confidence=step.confidence,
            relative=step.relative,
            method="paired_score",
            samples=count,
            worse=round(count * max(facts.drop, 0)),
            better=0,
            p_value=0.5 ** round(count * max(facts.drop, 0)),
        )
        paired = step.reference is not None
        return Evaluation(
            metric_value=0.95 * (1 - facts.drop),
            samples=count,
            drop=drop if paired else None,
            fidelity=Fidelity(sqnr_db=facts.sqnr_db, cosine=0.99, agreement=0.99) if paired else None,
            scores_file="scores.npy",
            outputs_files={} if paired else {"logits": "output_0.npy"},
        )

    def _time(self, step: MeasureLatency) -> LatencyLoad:
        random = Random(f"{step.load} {step.seed}")  # noqa: S311
        base = self._facts(step.subjects[0]).speedup
        timings = []
        mostly = step.load in self.mostly_disturbed_loads
        disturbed = mostly or step.load in self.disturbed_loads
        for position, subject in enumerate(step.subjects):
            facts = self._facts(subject)
            if position and step.load >= 1000:
                facts = self.proven(facts)
            luck = 1.0 if position == 0 else random.gauss(1.0, self.luck) * (0.7 if disturbed else 1.0)
            ratio, cpu_ratio = facts.speedup / base * luck, (facts.cpu_speedup or facts.speedup) / base * luck
            timings.append(
                Timing(
                    block_medians_ms=[1 / ratio], calls=self.calls, p50_ms=1 / ratio, mean_ms=1 / ratio,
                    cpu_ms=1 / cpu_ratio, ratio=ratio, cpu_ratio=cpu_ratio,
                )
            )  # fmt: skip
        share = 0.9 if mostly else self.disturbed_share
        noise = HostNoise(load_1m=0.1, steal_share=0.0, pressure_share=0.0, disturbed_share=share)
        probe_us = 13.0 if disturbed and not mostly else 10.0
        counted = [mostly or not share, True]
        return LatencyLoad(timings=timings, counted=counted, probe_us=probe_us, noise=noise, calls_file="calls.npz")


def _diagnosis() -> Diagnosis:
    layer = LayerError(
        name="conv1", operator="Conv", tensor="conv1_out", sqnr_db=10.0, lost_db=20.0, low=-1.0, high=9.0,
        outlier_ratio=8.0, channel_spread=3.0, advice="Keep it in floating point.",
    )  # fmt: skip
    return Diagnosis(layers=[layer], samples=16)
