"""The job that an upload brings with it: look at it, and at how the files of a model go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.core.endings import Ending, Inspected
from app.core.records import DatasetRecord, ModelRecord
from app.core.several import files_of
from enxuto.errors import BadInput, Finding
from enxuto.schema import Digest
from enxuto.search import inspect as inspecting
from enxuto.signature import ModelInspection
from workers.bench import Bench

_SHOWN = 5


def inspect(bench: Bench) -> Ending:
    """Look at an upload: its model or dataset becomes ready, or is rejected with the finding."""
    subject = bench.lease.subject
    with bench.parts.reading() as session:
        model, dataset = session.get(ModelRecord, subject), session.get(DatasetRecord, subject)
    if model:
        weights = {path: file.sha256 for path, file in files_of(model.files).items()}
        return Ending("succeeded", inspected=_model(bench, model, weights))
    if dataset:
        found = bench.search(inspecting.inspect_dataset(dataset.sha256, dataset.name))
        return Ending("succeeded", inspected=Inspected(found.inspection, found.arrays))
    raise BadInput(
        f"{subject} was deleted before it was inspected.",
        code="upload_gone",
        hint="Upload the file again.",
    )


def _model(bench: Bench, model: ModelRecord, weights: Mapping[str, Digest]) -> Inspected:
    """Steps read a model of several files as one that calls its weights by their digests, which lie beside it."""
    if not weights:
        return Inspected(bench.search(inspecting.inspect_model(model.sha256, model.name)).inspection, {})
    named = bench.search(inspecting.find_weights(model.sha256, model.name))
    _require(named, weights)
    used = {path: weights[path] for path in named}
    gathered = bench.search(inspecting.gather_model(model.sha256, model.name, used))
    beside = sorted(set(used.values()))
    bench.parts.blobs.put_beside(gathered, beside)
    seen = bench.search(inspecting.inspect_model(gathered, model.name, beside)).inspection
    return Inspected(_with_advice(seen, sorted(set(weights) - set(named))), {}, gathered)


def _require(named: Sequence[str], given: Mapping[str, Digest]) -> None:
    if missing := [path for path in named if path not in given]:
        raise BadInput(
            f"The model keeps weights in {_listed(missing)}, and no such file came with it.",
            code="weights_missing",
            hint="Send every file that holds its weights, each under the path that the model calls it.",
        )


def _with_advice(seen: ModelInspection, unused: Sequence[str]) -> ModelInspection:
    if not unused:
        return seen
    advice = Finding(
        code="files_not_needed",
        detail=f"The model never names {_listed(unused)}, which came with it.",
        hint="Fine where it is no part of the model; where it should be, check the path.",
    )
    return seen.model_copy(update={"advice": [*seen.advice, advice]})


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(f"'{path[:120]}'" for path in paths[:_SHOWN]) + more
