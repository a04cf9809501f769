"""What is known of a model or a dataset after it was inspected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from enxuto.errors import Finding
from enxuto.schema import Digest, Value


class TensorSpec(Value):
    """One input or output of a model."""

    name: str
    dtype: str
    """NumPy's name: float32, int64, uint8, bool, …; ``string`` for text, ``unknown`` where the file does not say and
    for what is no tensor."""
    shape: list[int | str | None] | None
    """A number for a fixed axis, a name for a symbolic one, null for an unknown one; null for an unknown rank."""


def fixed_batch(inputs: Sequence[TensorSpec]) -> int | None:
    """The batch size, where every input that has a first axis has it fixed at the same number."""
    sizes = {spec.shape[0] if spec.shape else None for spec in inputs if spec.shape != []}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None


def has_free_axes(inputs: Sequence[TensorSpec]) -> bool:
    """Whether some axis of an input is left open by the file."""
    return any(spec.shape is None or not all(isinstance(axis, int) for axis in spec.shape) for spec in inputs)


class ModelInspection(Value):
    """What a model file says of itself."""

    format: Literal["onnx"] = "onnx"
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    ir_version: int
    opsets: dict[str, int]
    """Opset by domain; the default domain is written ``ai.onnx``."""
    producer: str
    parameters: int
    """Number of weights: elements of all initializers and constants."""
    operators: dict[str, int]
    """How many nodes of each operator type, subgraphs included; other domains as ``domain::Op``."""
    size_bytes: int
    quantized: bool
    """Whether it already computes in integers or stores quantized weights."""
    precision: Literal["float32", "float16", "bfloat16", "float64", "mixed", "integer"]
    """In what most weights are stored."""
    control_flow: bool
    batch_size: int | None
    """The fixed batch axis, where there is one; also where it is symbolic and the model was seen to run at one size."""
    advice: list[Finding]
    """What is worth knowing and does no harm."""
    branches: bool = False
    """Whether some of its products and convolutions do not wait for each other, so that they can run at the same
    time."""


class ArraySpec(Value):
    """One array of a dataset. The first axis counts samples; without any, it is one number for all of them."""

    name: str
    dtype: str
    shape: list[int]
    size_bytes: int
    file: str
    """The step's output file that holds it as ``.npy``."""


class DatasetInspection(Value):
    """What a dataset holds, after it was transcoded into arrays that can be mapped."""

    format: Literal["npz", "safetensors"]
    arrays: list[ArraySpec]
    """Without the labels."""
    labels: ArraySpec | None
    label_kind: Literal["integer", "float"] | None
    count: int
    """Samples."""
    size_bytes: int


class ModelInput(Value):
    """A model file together with what is known of it."""

    file: Digest
    name: str
    inspection: ModelInspection


class DatasetInput(Value):
    """A dataset together with what is known of it and where its arrays are."""

    file: Digest
    name: str
    inspection: DatasetInspection
    arrays: dict[str, Digest]
    """Digest of each array's ``.npy`` by the array's ``file``."""
