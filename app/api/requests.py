"""What is asked over HTTP: bodies that come in, and the ids and names that stand in them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from app.core.ids import id_pattern
from enxuto.request import BenchmarkOptions, CompareOptions, OptimizeOptions, ProfileOptions
from enxuto.schema import Value

ModelId = Annotated[str, StringConstraints(pattern=id_pattern("mdl"))]
DatasetId = Annotated[str, StringConstraints(pattern=id_pattern("dst"))]
UploadId = Annotated[str, StringConstraints(pattern=id_pattern("upl"))]
JobId = Annotated[str, StringConstraints(pattern=id_pattern("job"))]
TARGET_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$"
FILE_NAME = r"^[^\x00-\x1f\x7f/\\]{1,255}$"
TargetName = Annotated[str, StringConstraints(pattern=TARGET_NAME)]
FileName = Annotated[str, StringConstraints(pattern=FILE_NAME)]
"""A file's name without folders."""

FILE_PATH = r"^[^\x00-\x1f\x7f/\\][^\x00-\x1f\x7f\\]{0,1023}$"
FilePath = Annotated[str, StringConstraints(pattern=FILE_PATH)]
"""A path below a folder."""


class EvaluationData(Value):
    """Datasets by the role they play."""

    evaluation: DatasetId | None = None
    """What accuracy is judged on. Without it nothing is known of accuracy."""


class OptimizeData(EvaluationData):
    calibration: DatasetId | None = None
    """What ranges are calibrated on; by default a part of the evaluation data that judges nothing."""


class InputData(Value):
    """Where inputs come from."""

    evaluation: DatasetId | None = None
    """Samples to run the model on; without them inputs are drawn by chance, of the right shapes and types."""


class _JobBody(Value):
    model: ModelId
    """The model that it is about."""
    target: TargetName = "any"
    """The kind of machine to measure on: a name from `GET /v1/targets`, or `any`."""


class OptimizeBody(OptimizeOptions, _JobBody):
    """Make a model lean, by a goal or a recipe."""

    kind: Literal["optimize"]
    data: OptimizeData = Field(default_factory=OptimizeData)
    earlier: JobId | None = None
    """What if something else were asked? An optimization of the same model with the same data, workload, metric and
    seed that has succeeded: the goal is answered from what it measured, and only what is new is done."""


class CompareBody(CompareOptions, _JobBody):
    """Judge a model against another."""

    kind: Literal["compare"]
    against: ModelId
    """The model that it is judged against."""
    data: EvaluationData = Field(default_factory=EvaluationData)


class BenchmarkBody(BenchmarkOptions, _JobBody):
    """Measure how a model carries load."""

    kind: Literal["benchmark"]
    data: InputData = Field(default_factory=InputData)


class ProfileBody(ProfileOptions, _JobBody):
    """Find where the time of a model's calls goes."""

    kind: Literal["profile"]
    against: ModelId | None = None
    """A model to lay beside it, node groups matched."""
    data: InputData = Field(default_factory=InputData)


class InspectBody(Value):
    """Look into an upload; made by the upload itself."""

    kind: Literal["inspect"] = "inspect"
    model: ModelId | None = None
    dataset: DatasetId | None = None


AnyJobBody = OptimizeBody | CompareBody | BenchmarkBody | ProfileBody
JobBody = Annotated[AnyJobBody, Field(discriminator="kind")]
JobBodyAdapter: TypeAdapter[AnyJobBody] = TypeAdapter(JobBody)
JobRequest = Annotated[AnyJobBody | InspectBody, Field(discriminator="kind")]


class ModelFile(Value):
    """One of the files that a model is made of."""

    path: FilePath
    """Where it lies, seen from the model's folder: weights by the path that the ONNX file calls them."""
    upload: UploadId
    """The upload that brought it, which must be whole."""


class ModelBody(Value):
    """A model from uploads that are whole: an ONNX file, and those that hold its weights."""

    name: FileName
    """What the model is called; its extension counts."""
    files: list[ModelFile] = Field(min_length=1, max_length=10_000)
    """All of its files. The ONNX file is the one whose path is `name`, or the only one that ends in `.onnx`."""


class RenameBody(Value):
    name: FileName
    """The new name."""
