"""Whether a dataset fits a model, and which metric follows from the two. Looks at inspections only, never at files."""

from __future__ import annotations

from collections.abc import Iterator

from enxuto import fit_metric
from enxuto.axes import SINGLE_NUMBER, Shape, axes_fit, counts_samples, written
from enxuto.errors import BadInput
from enxuto.metric import Metric, named_output
from enxuto.preprocessing import InputPreprocessing, Preprocessing
from enxuto.signature import ArraySpec, DatasetInspection, ModelInspection, TensorSpec

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
    hint = _mend_data(model) if problems else _MEND_METRIC
    output = _judged(model, metric)
    if output is None:
        problems.append(_no_output(model, metric))
    elif not problems:
        metric = fit_metric.resolved(metric, model, output, dataset)
        problems += fit_metric.problems(metric, model, output, dataset, sizes)
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
            f"the data does not fit the model: {_told(problems)}.", code="data_does_not_fit", hint=_mend_data(model)
        )


def _mend_data(model: ModelInspection) -> str:
    single = not all(counts_samples(spec.shape) for spec in model.inputs)
    return f"{_MEND_DATA} {SINGLE_NUMBER}" if single else _MEND_DATA


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
    if not _shapes_fit(spec.shape, shape, sizes):
        given = written(["N", *shape[1:]]) if counts_samples(shape) else "a single number"
        yield f"input '{spec.name}' wants the shape {written(spec.shape)}, the data gives {given}"


def _shapes_fit(wanted: Shape | None, given: Shape, sizes: dict[str, int]) -> bool:
    if counts_samples(wanted) and counts_samples(given):
        return axes_fit(wanted, given, sizes, batch_first=True)
    return wanted == given


def _channel_problems(how: InputPreprocessing, array: ArraySpec) -> Iterator[str]:
    axis = how.from_.index("C") if how.from_ and "C" in how.from_ else len(array.shape) - 1
    channels = array.shape[axis] if counts_samples(array.shape) else 1
    for what, numbers in (("mean", how.mean), ("std", how.std)):
        if len(numbers) not in (1, channels):
            yield f"{what} has {len(numbers)} numbers for the {channels} channels of array '{array.name}'"


def _judged(model: ModelInspection, metric: Metric | None) -> TensorSpec | None:
    """The output that the metric names, else the first that is a tensor."""
    tensors = [spec for spec in model.outputs if spec.dtype != "unknown"]
    if (name := named_output(metric)) is not None:
        return next((spec for spec in tensors if spec.name == name), None)
    return tensors[0] if tensors else None


def _no_output(model: ModelInspection, metric: Metric | None) -> str:
    if (name := named_output(metric)) is not None:
        return f"the metric judges '{name}', and the model's outputs are {_names(model.outputs)}"
    return "none of the model's outputs is a tensor that could be judged"


def _names(things: dict[str, ArraySpec] | dict[str, TensorSpec] | list[TensorSpec]) -> str:
    names = [thing if isinstance(thing, str) else thing.name for thing in things]
    return ", ".join(f"'{name}'" for name in names) or "none"
