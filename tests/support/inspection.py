"""Inspects a file as an upload would be, in this process."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from enxuto.dataset import inspect_dataset
from enxuto.errors import BadInput
from enxuto.model_file import inspect_model
from enxuto.schema import Digest
from enxuto.signature import DatasetInspection, ModelInspection
from enxuto.steps import InspectDataset, InspectModel, Samples


def digest(path: Path) -> Digest:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def model_inspection(path: Path, name: str | None = None) -> ModelInspection:
    key = digest(path)
    return inspect_model(InspectModel(model=key, name=name or path.name), {key: path}, path.parent)


def model_finding(path: Path, name: str | None = None) -> BadInput:
    with pytest.raises(BadInput) as caught:
        model_inspection(path, name)
    assert caught.value.detail
    assert caught.value.hint, f"{caught.value.code} should say what to do"
    return caught.value


def dataset_inspection(path: Path, name: str | None = None, *, out: Path | None = None) -> DatasetInspection:
    key = digest(path)
    out = out or path.parent / f"{path.name}.arrays"
    out.mkdir(exist_ok=True)
    return inspect_dataset(InspectDataset(dataset=key, name=name or path.name), {key: path}, out)


def dataset_finding(path: Path, name: str | None = None) -> BadInput:
    with pytest.raises(BadInput) as caught:
        dataset_inspection(path, name)
    assert caught.value.detail
    assert caught.value.hint, f"{caught.value.code} should say what to do"
    return caught.value


def all_samples(
    path: Path, *, start: int = 0, stop: int | None = None, seed: int = 0
) -> tuple[Samples, dict[Digest, Path]]:
    """The samples of a dataset file, transcoded beside it, with the files that they lie in."""
    out = path.parent / f"{path.name}.arrays"
    found = dataset_inspection(path, out=out)
    specs = [*found.arrays, *([found.labels] if found.labels else [])]
    files = {digest(out / spec.file): out / spec.file for spec in specs}
    by_name = {spec.name: digest(out / spec.file) for spec in specs}
    labels = by_name.pop("labels", None)
    stop = found.count if stop is None else stop
    return Samples(arrays=by_name, labels=labels, count=found.count, start=start, stop=stop, seed=seed), files
