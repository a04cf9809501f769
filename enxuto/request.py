"""What can be asked for, wherever it is answered: here or on a server."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from enxuto.goal import Goal, Thresholds
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.processor import Processor
from enxuto.recipe import Recipe
from enxuto.scenario import Offline, Scenario, ServingGoal
from enxuto.schema import Value
from enxuto.settings import RunSettings
from enxuto.workload import Workload

MOST_POINTS = 512
"""Of one benchmark: lists that are combined grow quickly beyond what anybody waits for."""
MARGIN = 0.03
"""Two times, peaks of memory or file sizes closer than this share of each other count as equal, where nothing else is
asked."""


class RunOptions(Value):
    """What every request says of how models are run."""

    preprocessing: Preprocessing = Field(default_factory=dict, max_length=64)
    """How stored samples become the model's inputs, by input name."""
    workload: Workload = Field(default_factory=Workload)
    """The conditions that measurements hold for."""
    deadline_s: float | None = Field(None, gt=0, le=7 * 86400)
    """Seconds after which the best found so far is the answer."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Splits, orders, arrivals and samples follow from it."""


class JudgedOptions(RunOptions):
    """What every request says that judges one model against another."""

    metric: Metric | None = None
    """What accuracy means. By default it follows from the labels: top-1 for integers, mean squared error for floats,
    Spearman's rank correlation where they are one for two rows, agreement with the original where there are none."""
    margin: float = Field(MARGIN, gt=0, le=1)
    """Practical equality: two times, peaks of memory or file sizes closer than this share of each other count as
    equal."""


class OptimizeOptions(JudgedOptions):
    """Make a model lean: by a goal, which searches, or by a recipe, which is applied as it is and judged."""

    goal: Goal | None = None
    """What to reach. A default goal (latency, at most 1 % lost) stands where neither goal nor recipe is given."""
    recipe: Recipe | None = None
    """Techniques to apply in this order, instead of searching."""
    processors: list[Processor] = Field(default_factory=list, max_length=8)
    """Kinds of processor that the result must hold its accuracy on, beside this machine's own."""

    @model_validator(mode="after")
    def _goal_or_recipe(self) -> Self:
        if self.goal and self.recipe:
            raise ValueError("give either a goal or a recipe, not both")
        return self


class CompareOptions(JudgedOptions):
    """Judge a model against another on the same samples and the same machine."""

    thresholds: Thresholds = Field(default_factory=Thresholds)
    """What must hold for the comparison to pass."""
    settings: RunSettings | None = None
    """Runtime of ``model`` and how it is set up; null: the first of ``workload.runtimes`` with its defaults."""
    against_settings: RunSettings | None = None
    """The same for ``against``: so a model can be compared with itself on another runtime."""


class BenchmarkOptions(RunOptions):
    """Measure how a model carries load: batches, requests, and what it takes to serve it."""

    scenario: Scenario = Field(default_factory=Offline)
    """How requests come. Offline, with the knee found by itself, where nothing is said."""
    settings: list[RunSettings] | None = Field(None, min_length=1, max_length=8)
    """Runtimes and how they are set up; null: each of ``workload.runtimes`` with its defaults, in the offline scenario,
    and the first of them in the others."""
    memory_mb: float | None = Field(None, gt=0, le=1e7)
    """Find the largest batch whose peak resident memory stays within this, in megabytes (10^6 bytes)."""
    serving: ServingGoal | None = None
    """Make a serving plan from the measured curves, and check it by a real load run; offline only."""

    @model_validator(mode="after")
    def _plan_needs_curves(self) -> Self:
        if (self.serving or self.memory_mb) and not isinstance(self.scenario, Offline):
            raise ValueError("serving and memory_mb rest on the curves of the offline scenario: ask for that one")
        return self

    @model_validator(mode="after")
    def _no_more_than_can_be_waited_for(self) -> Self:
        if isinstance(self.scenario, Offline):
            runtimes = len(self.settings or self.workload.runtimes)
            ways = runtimes * len(self.scenario.threads or [0]) * len(self.scenario.instances)
            points = ways * len(self.scenario.batch_sizes or [0])
            if points > MOST_POINTS:
                raise ValueError(
                    f"{runtimes} runtimes, threads, instances and batch sizes combine to {points:,} points; at most "
                    f"{MOST_POINTS} can be asked for at once"
                )
        return self

    @model_validator(mode="after")
    def _nothing_passed_over(self) -> Self:
        if self.workload.batch_size != 1:
            raise ValueError("a benchmark takes its batches from the scenario (batch_sizes), not from the workload")
        if self.settings and len(set(self.settings)) < len(self.settings):
            raise ValueError("the same settings stand in settings twice: each is measured once")
        return self


class ProfileOptions(RunOptions):
    """Where the time of a call goes, node by node, and how near each is to what this machine can do."""

    settings: RunSettings | None = None
    """Runtime of ``model`` and how it is set up; null: the first of ``workload.runtimes`` with its defaults."""
    against_settings: RunSettings | None = None
    """The same for the model beside it, where there is one."""

    @property
    def threads(self) -> int:
        """Of one call of the model: the peaks that it is held against are measured with as many."""
        return (self.settings.threads if self.settings else None) or self.workload.threads
