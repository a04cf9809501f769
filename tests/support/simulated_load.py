"""Answers the steps of a benchmark from facts about a model, so that what the plan finds can be told from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from enxuto.errors import Finding
from enxuto.schema import Value
from enxuto.steps import (
    Done,
    Failed,
    HostNoise,
    LatencyProfile,
    LoadRun,
    MeasureMemory,
    MeasureThroughput,
    MemoryUse,
    OneByOne,
    Outcome,
    RunLoad,
    Step,
    Throughput,
)
from tests.support.simulated_world import digest

QUIET = HostNoise(load_1m=0.1, steal_share=0.0, pressure_share=0.0)
CRASH = Finding(code="step_crashed", detail="The step's process crashed with SIGSEGV.", fault="internal")
NO_MEMORY = Finding(code="out_of_memory", detail="The step ran out of memory.", fault="capacity")
DOES_NOT_RUN = Finding(code="model_fails_to_run", detail="the model does not run on these inputs")


@dataclass
class LoadWorld:
    """A model whose calls take ``call_ms(batch)``, and what becomes of it under load."""

    call_ms: Callable[[int], float] = lambda batch: 1.0 + 0.1 * batch
    peak_mb: Callable[[int], float] = lambda batch: 50.0 + batch
    fails: Callable[[Step], Finding | None] = lambda step: None
    holds_up_to: float = 100.0
    """Queries a second: the highest rate within the limit."""
    fluke: Callable[[RunLoad], bool] = lambda step: False
    """Whether a run says the opposite of what is true."""
    luck: float = 0.001
    """Standard deviation of a load's rate."""
    slow_core: Callable[[MeasureThroughput], bool] = lambda step: False
    """Whether somebody else shares the core during a load, which halves what it carries."""
    shared_probe_us: float = 6.0
    """What the probe takes then; 3 on a core of one's own."""
    disturbed: Callable[[MeasureThroughput], bool] = lambda step: False
    done: list[Step] = field(default_factory=list)

    def __call__(self, step: Step, *, stop: Callable[[], bool]) -> Outcome:
        self.done.append(step)
        if finding := self.fails(step):
            return Failed(finding=finding, elapsed_s=0.5)
        result = self._find(step)
        names = [value for key, value in result if key in ("calls_file", "latencies_file")]
        files = {name: digest(f"{step.model_dump_json()} {name}") for name in names}
        return Done[Value](result=result, files=files, elapsed_s=0.5)

    def batches(self, kind: type[MeasureThroughput] | type[MeasureMemory] = MeasureThroughput) -> list[int]:
        """Batch sizes in the order in which they were first measured."""
        return list(dict.fromkeys(step.workload.batch_size for step in self.done if isinstance(step, kind)))

    def rates(self) -> list[float]:
        return [step.arrivals.rate_per_s for step in self._loads() if step.arrivals.kind == "poisson"]

    def _loads(self) -> list[RunLoad]:
        return [step for step in self.done if isinstance(step, RunLoad)]

    def _find(self, step: Step) -> Value:
        match step:
            case MeasureThroughput():
                return self._throughput(step)
            case MeasureMemory():
                peak = round(self.peak_mb(step.workload.batch_size) * 1e6)
                return MemoryUse(peak_bytes=peak, runtime_bytes=40_000_000, loaded_bytes=45_000_000, steady_bytes=peak)
            case RunLoad():
                return self._load_run(step)
        raise AssertionError(f"this world does not know {step.kind}")

    def _throughput(self, step: MeasureThroughput) -> Throughput:
        random = Random(step.model_dump_json())  # noqa: S311
        batch, shared = step.workload.batch_size, self.slow_core(step)
        call_ms = self.call_ms(batch) * random.gauss(1.0, self.luck) * (2 if shared else 1)
        return Throughput(
            samples_per_s=step.instances * batch / call_ms * 1000,
            calls=300,
            p50_ms=call_ms,
            p95_ms=1.1 * call_ms,
            cpu_cores=float(step.instances),
            peak_bytes=round(self.peak_mb(batch) * 1e6),
            runtime_bytes=40_000_000,
            probe_us=self.shared_probe_us if shared else 3.0,
            disturbed=self.disturbed(step),
            noise=QUIET,
            calls_file="calls.npz",
        )

    def _load_run(self, step: RunLoad) -> LoadRun:
        if isinstance(step.arrivals, OneByOne):
            latency_ms = self.call_ms(step.arrivals.samples_per_query)
            rate, slow = 1000 / latency_ms, step.limit_ms is not None and latency_ms > step.limit_ms
        else:
            rate = step.arrivals.rate_per_s
            slow = (rate > self.holds_up_to) != self.fluke(step)
            latency_ms = 2 * (step.limit_ms or 1.0) if slow else 0.5 * (step.limit_ms or 1.0)
        queries = max(1, round(rate * step.duration_s))
        carried = queries * (1 - step.percentile / 100) >= 10 - 1e-9
        profile = LatencyProfile(
            queries=queries, mean_ms=latency_ms, p50_ms=latency_ms, p90_ms=None, p95_ms=None, p99_ms=None, p999_ms=None
        )
        return LoadRun(
            latency=profile,
            duration_s=step.duration_s,
            queries_per_s=rate,
            samples_per_s=rate,
            batches=[],
            mean_wait_ms=0.0,
            utilization=0.5,
            cpu_cores=1.0,
            peak_bytes=100_000_000,
            sent_late_ms=0.01,
            noise=QUIET,
            percentile_ms=latency_ms if carried else None,
            over_limit=None if step.limit_ms is None else (queries if slow else 0),
            latencies_file="latencies.npz",
        )
