"""Models whose weights lie in other files: which those are, and a model file that calls them by their digests.

A path inside a model is a user's word: it is matched against the files that were given with the model, and never
followed. What a digest calls can be nothing else, so a model's own digest says all that it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from onnx import ModelProto, TensorProto, helper

from enxuto.errors import BadInput
from enxuto.model_file.proto import read_proto, tensors
from enxuto.model_file.screening import refuse_foreign_file
from enxuto.schema import Digest
from enxuto.steps import FindWeights, Gathered, GatherModel, WeightFiles

_FILE = "model.onnx"
_MOST_FILES = 10_000
_PIECE_BYTES = 1 << 24


def find_weights(step: FindWeights, files: Mapping[Digest, Path], out: Path) -> WeightFiles:
    """Raises BadInput: no model, or one that names files outside its own folder."""
    refuse_foreign_file(files[step.model], step.name)
    proto = read_proto(files[step.model], step.name)
    paths = sorted({location_of(name, tensor) for name, tensor in outside(proto)})
    if len(paths) > _MOST_FILES:
        raise BadInput(
            f"{step.name} keeps its weights in {len(paths):,} files; at most {_MOST_FILES:,} are read.",
            code="external_data",
            hint="Save it with one file of weights: onnx.save(model, path, save_as_external_data=True).",
        )
    return WeightFiles(paths=paths)


def gather_model(step: GatherModel, files: Mapping[Digest, Path], out: Path) -> Gathered:
    """Raises BadInput: a weight lies in a file that was not given, or beyond the end of one."""
    proto = read_proto(files[step.model], _FILE)
    for name, tensor in outside(proto):
        location = location_of(name, tensor)
        if location not in step.weights:
            raise BadInput(
                f"the weight '{name}' lies in '{location}', which was not given with the model.",
                code="external_data",
                hint="Give all files that the model's weights lie in.",
            )
        digest = step.weights[location]
        offset, length = _extent(name, tensor, files[digest].stat().st_size)
        del tensor.external_data[:]
        for key, value in (("location", digest), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
    (out / _FILE).write_bytes(proto.SerializeToString(deterministic=True))
    return Gathered(file=_FILE)


def outside(proto: ModelProto) -> Iterator[tuple[str, TensorProto]]:
    """Tensors whose data lies in other files."""
    return ((name, tensor) for name, tensor in tensors(proto) if tensor.data_location == TensorProto.EXTERNAL)


def external_range(name: str, tensor: TensorProto, path: Path) -> tuple[float, float]:
    """Lowest and highest value of a tensor that lies in this file; both NaN where there is one.

    A piece at a time: however large the file, little of it is in memory.
    """
    offset, length = _extent(name, tensor, path.stat().st_size)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    lowest, highest = np.inf, -np.inf
    with path.open("rb") as file:
        file.seek(offset)
        for start in range(0, length, _PIECE_BYTES):
            piece = np.frombuffer(file.read(min(_PIECE_BYTES, length - start)), dtype).astype(np.float32, copy=False)
            lowest, highest = np.minimum(lowest, piece.min()), np.maximum(highest, piece.max())
    return (float(lowest), float(highest)) if length else (0.0, 0.0)


def location_of(name: str, tensor: TensorProto) -> str:
    """Of the file, as the model says; one path for one file, below the model's folder."""
    given = _entries(tensor).get("location", "")
    path = PurePosixPath(given)
    if (
        not given
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in given
        or "*" in given
        or not given.isprintable()
    ):
        raise BadInput(
            f"the weight '{name[:120]}' is said to lie in {given[:120]!r}, which is no path below the model's folder.",
            code="external_data",
            hint="Save the model and its weights into one folder.",
        )
    return str(path)


def _extent(name: str, tensor: TensorProto, size_bytes: int) -> tuple[int, int]:
    """Offset and length in bytes, which must fit both the file and the shape."""
    entries = _entries(tensor)
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or size_bytes - offset)
        expected = -(-_bits(tensor) // 8)
    except (ValueError, KeyError) as error:
        raise _damaged(name, "says where its data lies in no way that can be read") from error
    if offset < 0 or length < 0 or offset + length > size_bytes:
        raise _damaged(name, f"reaches to byte {offset + length:,} of a file of {size_bytes:,}")
    if length != expected:
        raise _damaged(name, f"has {length:,} bytes, and {expected:,} by its shape {list(tensor.dims)}")
    return offset, length


def _bits(tensor: TensorProto) -> int:
    kind = TensorProto.DataType.Name(tensor.data_type)
    per_element = 4 if kind in ("INT4", "UINT4", "FLOAT4E2M1") else 2 if kind in ("INT2", "UINT2") else 0
    elements = 1
    for size in tensor.dims:
        elements *= size
    return elements * (per_element or 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _damaged(name: str, what: str) -> BadInput:
    return BadInput(
        f"the weight '{name[:120]}' {what}.",
        code="damaged_model",
        hint="Compare the sizes of the model's files with the originals; export it again if they agree.",
    )
