"""The inspection of an uploaded dataset: checked, and transcoded into one ``.npy`` an array."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Literal

from enxuto.axes import SINGLE_NUMBER, counts_samples
from enxuto.dataset.npz import npz_arrays
from enxuto.dataset.safetensors import safetensors_arrays
from enxuto.dataset.stored import StoredArray
from enxuto.dataset.transcode import transcode
from enxuto.errors import BadInput
from enxuto.schema import Digest
from enxuto.signature import ArraySpec, DatasetInspection
from enxuto.steps import InspectDataset

_LABELS = "labels"
_SAVE = "Write it with np.savez('data.npz', input=array, labels=labels), or as .safetensors."


def inspect_dataset(step: InspectDataset, files: Mapping[Digest, Path], out: Path) -> DatasetInspection:
    """Check a dataset and write its arrays into ``out`` as ``array_0.npy`` and so on.

    Raises:
        BadInput: it is no dataset, or one whose arrays do not belong together.
    """
    path = files[step.dataset]
    format_ = _recognize(path, step.name)
    stored = npz_arrays(path, step.name) if format_ == "npz" else safetensors_arrays(path, step.name)
    count = _count_samples(stored, step.name)
    specs = [_transcode(array, f"array_{position}.npy", out) for position, array in enumerate(stored)]
    labels = next((spec for spec in specs if spec.name == _LABELS), None)
    return DatasetInspection(
        format=format_,
        arrays=[spec for spec in specs if spec is not labels],
        labels=labels,
        label_kind=None if labels is None else "float" if labels.dtype.startswith("float") else "integer",
        count=count,
        size_bytes=path.stat().st_size,
    )


def _recognize(path: Path, name: str) -> Literal["npz", "safetensors"]:
    """By its first bytes; its name must agree."""
    with path.open("rb") as file:
        head = file.read(64)
    _refuse_what_is_no_data(head, name)
    found: Literal["npz", "safetensors"] = "npz" if head.startswith(b"PK") else "safetensors"
    if not name.lower().endswith(f".{found}"):
        raise BadInput(
            f"{name} is a .{found} file by its first bytes, but its name does not end in .{found}.",
            code="wrong_extension",
            hint=f"Upload it under a name that ends in .{found}.",
        )
    return found


def _refuse_what_is_no_data(head: bytes, name: str) -> None:
    if not head:
        raise BadInput(
            f"{name} is empty (0 bytes).",
            code="empty_file",
            hint="Check that it was written in full, and upload again.",
        )
    if head.startswith(b"version https://git-lfs"):
        raise BadInput(
            f"{name} is a Git LFS pointer, not the file that it stands for.",
            code="git_lfs_pointer",
            hint="Fetch the real file with 'git lfs pull', then upload it.",
        )
    if head.startswith(b"\x93NUMPY"):
        raise BadInput(
            f"{name} is a single NumPy array (.npy), which has no name.", code="unsupported_format", hint=_SAVE
        )
    if not head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and head[8:9] != b"{":
        raise BadInput(f"{name} is neither .npz nor .safetensors.", code="not_a_dataset", hint=_SAVE)


def _count_samples(arrays: list[StoredArray], name: str) -> int:
    inputs = [array for array in arrays if array.name != _LABELS]
    if not inputs:
        raise BadInput(f"{name} holds no array for a model's input.", code="no_arrays", hint=_SAVE)
    for array in arrays:
        _refuse_nothing(array)
    counts = {array.name: array.shape[0] for array in arrays if counts_samples(array.shape)}
    _refuse_single(arrays, inputs, counts)
    count = next(counts[array.name] for array in inputs if array.name in counts)
    # Labels of pairs: one for rows 2i and 2i + 1. Stored, although no metric here reads them.
    allowed = {_LABELS: (count, count / 2)}
    if any(found not in allowed.get(key, (count,)) for key, found in counts.items()):
        raise BadInput(
            f"the arrays' first axes differ, which should all count the same samples: {_listed(counts)}.",
            code="sample_counts_differ",
            hint=f"Store every array with one row a sample, labels included. {SINGLE_NUMBER}",
        )
    return count


def _refuse_single(arrays: list[StoredArray], inputs: list[StoredArray], counts: dict[str, int]) -> None:
    """Labels have to count samples, and so has the array of one input at least."""
    counted = any(array.name in counts for array in inputs)
    for array in arrays:
        if array.name not in counts and (array.name == _LABELS or not counted):
            raise BadInput(
                f"array {array.name!r} is a single number, so there is no axis that counts samples.",
                code="scalar_array",
                hint=f"Store one row a sample. {SINGLE_NUMBER}",
            )


def _refuse_nothing(array: StoredArray) -> None:
    if not prod(array.shape):
        raise BadInput(
            f"array {array.name!r} of shape {list(array.shape)} is empty.",
            code="no_samples",
            hint="Store at least one sample.",
        )


def _transcode(array: StoredArray, file: str, out: Path) -> ArraySpec:
    dtype = transcode(array, out / file)
    return ArraySpec(
        name=array.name,
        dtype=dtype.name,
        shape=list(array.shape),
        size_bytes=prod(array.shape) * dtype.itemsize,
        file=file,
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
