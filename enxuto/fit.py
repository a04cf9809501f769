"""Whether a dataset fits a model, and which metric follows from the two. Looks at inspections only, never at files."""

from __future__ import annotations

from collections.abc import Iterator

from enxuto.errors import BadInput
from enxuto.metric import Agreement, MeanSquaredError, Metric, TopK
from enxuto.preprocessing import InputPreprocessing, Preprocessing
from enxuto.signature import ArraySpec, DatasetInspection, ModelInspection, TensorSpec

Shape = list[int | str | None]
_MOST_TOLD = 20
_MEND_DATA = (
    "Name each array as the model's input, store one row a sample in the input's type and shape, and declare a "
    "preprocessing for what is stored otherwise."
)
_MEND_METRIC = "Name the metric and the output that fit the labels, or store labels that fit; without any, 'agreement'."
_FLOATS = ("float16", "float32", "float64", "bfloat16")


def check_fit(
    model: ModelInspection, dataset: DatasetInspection, preprocessing: Preprocessing, metric: Metric | None
) -> Metric:
    """The metric with nothing left open.

    Raises:
        BadInput: ``data_does_not_fit``, with every difference between what the model wants and what the data is.
    """
    sizes: dict[str, int] = {}
    problems = list(_input_problems(model, dataset, preprocessing, sizes))
    hint = _MEND_DATA if problems else _MEND_METRIC
    output = _judged(model, metric)
    if output is None:
        problems.append(_no_output(model, metric))
    elif not problems:
        metric = _resolve(metric, output, dataset, sizes)
        problems += _metric_problems(metric, output, dataset, sizes)
    if problems or metric is None:
        raise BadInput(
            f"the data does not fit the model: {_told(problems)}.",
            code="data_does_not_fit",
            hint=hint,
        )
    return metric


def check_inputs(model: ModelInspection, dataset: DatasetInspection, preprocessing: Preprocessing) -> None:
    """Where outputs are not judged, only the inputs have to fit.

    Raises:
        BadInput: ``data_does_not_fit``, with every difference between what the model takes and what the data is.
    """
    if problems := list(_input_problems(model, dataset, preprocessing, {})):
        raise BadInput(
            f"the data does not fit the model: {_told(problems)}.", code="data_does_not_fit", hint=_MEND_DATA
        )


def _told(problems: list[str]) -> str:
    more = len(problems) - _MOST_TOLD
    return "; ".join(problems[:_MOST_TOLD]) + (f"; and {more} more differences" if more > 0 else "")


def _input_problems(
    model: ModelInspection, dataset: DatasetInspection, preprocessing: Preprocessing, sizes: dict[str, int]
) -> Iterator[str]:
    arrays = {array.name: array for array in dataset.arrays}
    inputs = {spec.name: spec for spec in model.inputs}
    for name in inputs.keys() - arrays.keys():
        yield f"the model's input '{name}' has no array (the data has {_names(arrays)})"
    for name in arrays.keys() - inputs.keys():
        yield f"the array '{name}' is no input of the model (it has {_names(inputs)})"
    for name in preprocessing.keys() - inputs.keys():
        yield f"the preprocessing names '{name}', which is no input of the model"
    for name, spec in inputs.items():
        if name in arrays:
            yield from _array_problems(spec, arrays[name], preprocessing.get(name), sizes)


def _array_problems(
    spec: TensorSpec, array: ArraySpec, how: InputPreprocessing | None, sizes: dict[str, int]
) -> Iterator[str]:
    if how is not None and spec.dtype not in _FLOATS:
        yield f"input '{spec.name}' takes {spec.dtype}; only inputs that take floats can be preprocessed"
    elif how is None and array.dtype != spec.dtype and (array.dtype, spec.dtype) != ("float32", "bfloat16"):
        yield f"input '{spec.name}' takes {spec.dtype}, array '{array.name}' is {array.dtype}"
    shape: Shape = list(array.shape)
    if how is not None:
        if how.from_ and how.to and len(how.from_) == len(shape):
            yield from _channel_problems(how, array)
            shape = [shape[how.from_.index(axis)] for axis in how.to]
        elif how.from_:
            yield f"array '{array.name}' has {len(shape)} axes, its layout '{how.from_}' names {len(how.from_)}"
            return
        else:
            yield from _channel_problems(how, array)
    if not _axes_fit(spec.shape, shape, sizes, batch_first=True):
        given = _written(["N", *shape[1:]])
        yield f"input '{spec.name}' wants the shape {_written(spec.shape)}, the data gives {given}"


def _channel_problems(how: InputPreprocessing, array: ArraySpec) -> Iterator[str]:
    axis = how.from_.index("C") if how.from_ and "C" in how.from_ else len(array.shape) - 1
    for what, numbers in (("mean", how.mean), ("std", how.std)):
        if len(numbers) not in (1, array.shape[axis]):
            yield f"{what} has {len(numbers)} numbers for the {array.shape[axis]} channels of array '{array.name}'"


def _axes_fit(wanted: Shape | None, given: Shape, sizes: dict[str, int], *, batch_first: bool) -> bool:
    """Remembers the size of each symbol: one symbol, one size. The batch's axis fits any number of samples."""
    if wanted is None:
        return True
    if len(wanted) != len(given) or not wanted:
        return False
    pairs = list(zip(wanted, given, strict=True))[1 if batch_first else 0 :]
    return all(_axis_fits(axis, size, sizes) for axis, size in pairs)


def _axis_fits(axis: int | str | None, size: int | str | None, sizes: dict[str, int]) -> bool:
    if isinstance(axis, str) and isinstance(size, int):
        return sizes.setdefault(axis, size) == size
    return not isinstance(axis, int) or not isinstance(size, int) or axis == size


def _judged(model: ModelInspection, metric: Metric | None) -> TensorSpec | None:
    """The output that the metric names, else the first that is a tensor."""
    tensors = [spec for spec in model.outputs if spec.dtype != "unknown"]
    if metric is not None and metric.output is not None:
        return next((spec for spec in tensors if spec.name == metric.output), None)
    return tensors[0] if tensors else None


def _no_output(model: ModelInspection, metric: Metric | None) -> str:
    if metric is not None and metric.output is not None:
        return f"the metric judges '{metric.output}', and the model's outputs are {_names(model.outputs)}"
    return "none of the model's outputs is a tensor that could be judged"


def _resolve(metric: Metric | None, output: TensorSpec, dataset: DatasetInspection, sizes: dict[str, int]) -> Metric:
    if isinstance(metric, Agreement) and metric.by is None:
        return metric.model_copy(update={"by": "argmax" if _is_classes(output) or _is_scores(output) else "cosine"})
    if metric is not None:
        return metric
    if dataset.label_kind is None:
        return _resolve(Agreement(), output, dataset, sizes)
    return TopK(k=1) if dataset.label_kind == "integer" else MeanSquaredError()


def _is_scores(output: TensorSpec) -> bool:
    shape = output.shape
    return shape is not None and len(shape) == 2 and isinstance(shape[1], int) and shape[1] >= 2


def _is_classes(output: TensorSpec) -> bool:
    """The class itself, as scikit-learn's classifiers give it first."""
    return "int" in output.dtype and (output.shape is None or len(output.shape) == 1)


def _metric_problems(
    metric: Metric, output: TensorSpec, dataset: DatasetInspection, sizes: dict[str, int]
) -> Iterator[str]:
    if output.dtype == "string":
        yield f"output '{output.name}' is text, which no metric judges; name another output in the metric"
    if isinstance(metric, Agreement):
        return
    if dataset.labels is None:
        yield f"the metric {metric.kind} needs an array 'labels', which the data does not have"
        return
    labels = dataset.labels
    if labels.shape[0] != dataset.count:
        yield (
            f"there are {labels.shape[0]} labels for {dataset.count} samples, and no metric here judges pairs of "
            "samples; the metric 'agreement' needs no labels"
        )
    elif isinstance(metric, TopK):
        yield from _top_k_problems(metric, output, labels, dataset.label_kind == "integer", sizes)
    elif not _axes_fit(output.shape, list(labels.shape), dict(sizes), batch_first=True):
        yield (
            f"output '{output.name}' has the shape {_written(output.shape)}, and its labels have "
            f"{_written(['N', *labels.shape[1:]])}; {metric.kind} wants them alike; "
            "the metric 'agreement' needs no labels"
        )


def _top_k_problems(
    metric: TopK, output: TensorSpec, labels: ArraySpec, integer: bool, sizes: dict[str, int]
) -> Iterator[str]:
    if not integer:
        yield f"labels are {labels.dtype}; top_k wants class numbers as integers"
    if output.shape is None:
        return
    wanted = output.shape if _is_classes(output) else output.shape[:-1]
    if not _axes_fit(wanted, list(labels.shape), dict(sizes), batch_first=True):
        yield (
            f"labels have the shape {_written(['N', *labels.shape[1:]])}; top_k over the last axis of output "
            f"'{output.name}' {_written(output.shape)} wants {_written(wanted)}"
        )
    if _is_classes(output):
        if metric.k > 1:
            yield f"output '{output.name}' gives one class a sample, so no top {metric.k}; name an output with scores"
        return
    classes = output.shape[-1] if output.shape else None
    if isinstance(classes, int) and metric.k >= classes:
        yield (
            f"top {metric.k} of the {classes} classes of output '{output.name}' says nothing: it takes fewer than all"
            + ("" if metric.k > 1 else ", and a single score is judged by mean_squared_error or agreement")
        )


def _names(things: dict[str, ArraySpec] | dict[str, TensorSpec] | list[TensorSpec]) -> str:
    names = [thing if isinstance(thing, str) else thing.name for thing in things]
    return ", ".join(f"'{name}'" for name in names) or "none"


def _written(shape: Shape | None) -> str:
    if shape is None:
        return "[…]"
    return "[" + ", ".join("?" if axis is None else f"{axis}" for axis in shape) + "]"
