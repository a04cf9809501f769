"""The plans that look at what was given, before anything is done with it."""

from __future__ import annotations

from collections.abc import Sequence

from enxuto.schema import Digest
from enxuto.search.plan import Plan, PlanFailed, Progress, Task, found
from enxuto.signature import DatasetInput, DatasetInspection, ModelInput, ModelInspection
from enxuto.steps import Failed, FindWeights, Gathered, GatherModel, InspectDataset, InspectModel, WeightFiles


def inspect_model(model: Digest, name: str, weights: Sequence[Digest] = ()) -> Plan[ModelInput]:
    """``weights``: the files beside it that it may read. Raises PlanFailed with the finding where the file is no model
    that can be run here."""
    step = InspectModel(model=model, name=name, weights=list(weights))
    reply = yield Task(step, Progress("inspect", f"inspecting {name}", 0.0))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    return ModelInput(file=model, name=name, inspection=found(reply.outcome, ModelInspection))


def find_weights(model: Digest, name: str) -> Plan[list[str]]:
    """Which other files the model's weights lie in, by the paths that it calls them."""
    reply = yield Task(FindWeights(model=model, name=name), Progress("inspect", f"looking into {name}", 0.0))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    return found(reply.outcome, WeightFiles).paths


def gather_model(model: Digest, name: str, weights: dict[str, Digest]) -> Plan[Digest]:
    """The model's file as it calls its weights by their digests."""
    step = GatherModel(model=model, weights=weights)
    reply = yield Task(step, Progress("inspect", f"gathering the weights of {name}", 0.0))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    return reply.outcome.files[found(reply.outcome, Gathered).file]


def inspect_dataset(dataset: Digest, name: str) -> Plan[DatasetInput]:
    """Raises PlanFailed with the finding where the file is no dataset."""
    reply = yield Task(InspectDataset(dataset=dataset, name=name), Progress("inspect", f"inspecting {name}", 0.0))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    inspection = found(reply.outcome, DatasetInspection)
    return DatasetInput(file=dataset, name=name, inspection=inspection, arrays=reply.outcome.files)
