"""The plans that look at what was given, before anything is done with it."""

from __future__ import annotations

from enxuto.schema import Digest
from enxuto.search.plan import Plan, PlanFailed, Progress, Task, found
from enxuto.signature import DatasetInput, DatasetInspection, ModelInput, ModelInspection
from enxuto.steps import Failed, InspectDataset, InspectModel


def inspect_model(model: Digest, name: str) -> Plan[ModelInput]:
    """Raises PlanFailed with the finding where the file is no model that can be run here."""
    reply = yield Task(InspectModel(model=model, name=name), Progress("inspect", f"inspecting {name}", 0.0))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    return ModelInput(file=model, name=name, inspection=found(reply.outcome, ModelInspection))


def inspect_dataset(dataset: Digest, name: str) -> Plan[DatasetInput]:
    """Raises PlanFailed with the finding where the file is no dataset."""
    reply = yield Task(InspectDataset(dataset=dataset, name=name), Progress("inspect", f"inspecting {name}", 0.0))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    inspection = found(reply.outcome, DatasetInspection)
    return DatasetInput(file=dataset, name=name, inspection=inspection, arrays=reply.outcome.files)
