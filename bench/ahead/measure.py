"""Judges and times models of any tool side by side, by the library's own plans and steps."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.ahead.cases import Case
from bench.ahead.make import Made
from bench.ahead.runner import Workplace
from enxuto.machine import this_machine
from enxuto.request import MARGIN, CompareOptions, OptimizeOptions
from enxuto.search.inspect import inspect_dataset, inspect_model
from enxuto.search.plan import Plan, PlanFailed, Progress, Reply, Task, found
from enxuto.search.resolve import resolve_optimize
from enxuto.search.splits import SampleSplits, split_samples
from enxuto.search.timing import CONFIRMING, Effort, SideBySide, Timed, time_side_by_side
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.signature import DatasetInput, ModelInput
from enxuto.steps import EvaluateModel, Evaluation, EvaluationFiles, Failed, Samples, Subject

OTHERS_A_PROCESS = 7
"""Beside the original, which is in every process."""
_AGREEING = 0.05
_HOPELESS = 0.5
"""A speedup at which larger batches are not waited for."""


@dataclass
class Row:
    """A model as one runtime runs it."""

    made: Made | None
    """None for the original under other settings."""
    subject: Subject
    runtime: str
    size_bytes: int
    evaluation: Evaluation | None = None
    timed: dict[int, Timed] = field(default_factory=dict)
    """By batch size."""
    reason: str = ""
    """Why there are no figures."""

    @property
    def name(self) -> str:
        return self.made.name if self.made else "original"

    def ratio(self, batch: int) -> float | None:
        """Speedup on which wall and processor time agree: where a neighbor took the core, the lower one stands."""
        if batch not in self.timed:
            return None
        timed = self.timed[batch]
        return min(timed.speedup.value, timed.cpu_speedup.value)

    def best_batched(self) -> float | None:
        """Of the batch sizes beyond one, each beside the original at that size."""
        return max((ratio for batch in self.timed if batch > 1 and (ratio := self.ratio(batch))), default=None)

    def holds(self, most_drop: float) -> bool:
        """Whether it surely loses no more than this."""
        return bool(self.evaluation and self.evaluation.drop and self.evaluation.drop.high <= most_drop)


def is_disturbed(timed: Timed) -> bool:
    """Whether wall and processor time tell different stories."""
    return abs(timed.speedup.value / timed.cpu_speedup.value - 1) > _AGREEING


def spread(timed: Timed) -> float:
    """Between loads, relative."""
    return statistics.stdev(timed.ratios) / statistics.fmean(timed.ratios) if len(timed.ratios) > 1 else 0.0


class Judge:
    """What is fixed for a case: its original, its splits and what the original answers."""

    def __init__(self, place: Workplace, case: Case, most_samples: int | None = None) -> None:
        self._place = place
        self.model: ModelInput = place.drive(inspect_model(place.model(case.model), case.model.name))
        evaluation, calibration = self._data(case.evaluation), self._data(case.calibration)
        options = OptimizeOptions(
            metric=case.settings.metric, preprocessing=case.settings.preprocessing, workload=case.settings.workload
        )
        self.request = resolve_optimize(options, self.model, evaluation)
        self.splits: SampleSplits = split_samples(evaluation, calibration, self.request.seed)
        self.original = Row(None, Subject(model=self.model.file), "onnxruntime", self.model.inspection.size_bytes)
        self.proving = _first(self.splits.confirmation, most_samples)
        self._reference: EvaluationFiles | None = None

    def _data(self, path: Path | None) -> DatasetInput | None:
        return None if path is None else self._place.drive(inspect_dataset(self._place.add(path), path.name))

    @property
    def batch_is_fixed(self) -> bool:
        return self.model.inspection.batch_size is not None

    def rows(self, made: Sequence[Made]) -> list[Row]:
        """Every model under the runtimes that can be asked to run it, and the original under OpenVINO too."""
        rows = [
            Row(None, Subject(model=self.model.file, settings=settings), runtime, self.original.size_bytes)
            for runtime, settings in _on_openvino()
        ]
        for each in made:
            if each.model is None:
                rows.append(Row(each, self.original.subject, "-", 0, reason=each.note))
                continue
            digest = self._place.model(each.model)
            for runtime, settings in _ways(each):
                rows.append(Row(each, Subject(model=digest, settings=settings), runtime, each.size_bytes))
        return rows

    def evaluate(self, row: Row) -> None:
        """On the samples that prove: they calibrated nothing and chose nothing."""
        outcome = self._place.drive(self._evaluation(row.subject))
        if isinstance(outcome, Failed):
            row.reason = outcome.finding.detail
        else:
            row.evaluation = outcome

    def _evaluation(self, subject: Subject) -> Plan[Evaluation | Failed]:
        samples, metric = self.proving, self.request.metric
        if samples is None or metric is None:
            raise SystemExit("a case needs data/eval.npz")

        def asked(subject: Subject) -> Task:
            step = EvaluateModel(
                subject=subject,
                samples=samples,
                preprocessing=self.request.preprocessing,
                metric=metric,
                workload=self.request.workload,
                reference=self._reference,
            )
            return Task(step, Progress("evaluate", "evaluating", 0.0))

        if self._reference is None:
            reply = yield asked(self.original.subject)
            if isinstance(reply.outcome, Failed):
                raise PlanFailed(reply.outcome.finding)
            first = found(reply.outcome, Evaluation)
            self.original.evaluation = first
            files = reply.outcome.files
            outputs = {name: files[file] for name, file in first.outputs_files.items()}
            self._reference = EvaluationFiles(scores=files[first.scores_file], outputs=outputs)
        reply = yield asked(subject)
        return reply.outcome if isinstance(reply.outcome, Failed) else found(reply.outcome, Evaluation)

    def time(self, rows: Sequence[Row], batch: int, loads: int, rounds: int) -> Iterator[str]:
        """All that run, beside the original in every process; says what is being done."""
        running = [row for row in rows if not row.reason and (row.ratio(1) or 1.0) >= _HOPELESS]
        for start in range(0, len(running), OTHERS_A_PROCESS):
            group = running[start : start + OTHERS_A_PROCESS]
            yield f"batch {batch}: {', '.join(f'{row.name} ({row.runtime})' for row in group)}"
            if not self._time_group(group, batch, loads, rounds, start):
                for row in group:  # one of them spoils it for the others
                    self._time_group([row], batch, loads, rounds, start)

    def _time_group(self, group: Sequence[Row], batch: int, loads: int, rounds: int, first: int) -> bool:
        workload = self.request.workload.model_copy(update={"batch_size": batch})
        options = CompareOptions(workload=workload, preprocessing=self.request.preprocessing, seed=self.request.seed)
        effort = Effort(
            first_load=10_000 + 100 * first,
            least=loads,
            most=loads,
            narrow=CONFIRMING.narrow,
            budget_s=float("inf"),
            block_ms=CONFIRMING.block_ms,
            rounds=rounds,
        )
        subjects = [self.original.subject, *(row.subject for row in group)]

        def plan() -> Generator[Task, Reply, SideBySide | Failed]:
            progress = Progress("measure", "timing", 0.0)
            samples = self.proving
            return (yield from time_side_by_side(subjects, options, samples, effort, MARGIN, lambda _: progress))

        outcome = self._place.drive(plan())
        if isinstance(outcome, Failed):
            if len(group) == 1:
                group[0].reason = f"batch {batch}: {outcome.finding.detail}"
            return False
        self.original.timed[batch] = outcome.timed[0]
        for row, timed in zip(group, outcome.timed[1:], strict=True):
            row.timed[batch] = timed
        return True


def _first(samples: Samples | None, most: int | None) -> Samples | None:
    if samples is None or most is None:
        return samples
    return samples.model_copy(update={"stop": min(samples.stop, samples.start + most)})


def _ways(made: Made) -> list[tuple[str, RunSettings]]:
    if made.settings is not None:
        settings = made.settings
        return [(_words(settings) if isinstance(settings, OpenVinoSettings) else settings.runtime, settings)]
    if made.model is not None and made.model.suffix == ".xml":
        return _on_openvino()
    return [("onnxruntime", OnnxRuntimeSettings()), *_on_openvino()]


def _on_openvino() -> list[tuple[str, RunSettings]]:
    """As files load, and compiled for the shapes they are called with: peers leave that to whoever runs them. In
    bfloat16 too where the processor has it, which OpenVINO takes there unless it is told otherwise.
    """
    precisions: list[Literal["f32", "bf16"]] = ["f32", "bf16"] if this_machine().has_bfloat16 else ["f32"]
    found = [OpenVinoSettings(precision=each, fixed_shapes=fixed) for each in precisions for fixed in (False, True)]
    return [(_words(each), each) for each in found]


def _words(settings: OpenVinoSettings) -> str:
    return f"openvino {settings.precision}{' fixed' if settings.fixed_shapes else ''}"
