"""Which metric follows from a model and its data, and what keeps one from being computed; looks at inspections only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from enxuto.axes import Shape, axes_fit, written
from enxuto.errors import BadInput
from enxuto.expression import pointed_at
from enxuto.metric import (
    Agreement,
    BinaryCrossEntropy,
    Expression,
    MeanAveragePrecision,
    MeanSquaredError,
    Metric,
    PeakSignalToNoise,
    Perplexity,
    Spearman,
    TopK,
)
from enxuto.signature import ArraySpec, DatasetInspection, ModelInspection, TensorSpec

_EMBEDDING = re.compile(
    r"embed|pool|feature|hidden|latent|vector|represent|image|pixel|recon|audio|wave", re.IGNORECASE
)
"""In the name of an output whose columns are no classes: an embedding, or a flat picture."""
_TO_LENGTH_ONE = frozenset({"LpNormalization", "ReduceL2"})
"""Operators that scale vectors to length one, as models do with embeddings."""
_NO_LABELS = "the metric 'agreement' needs no labels"


def resolved(metric: Metric | None, model: ModelInspection, output: TensorSpec, dataset: DatasetInspection) -> Metric:
    """The metric with nothing left open but what only the data can say."""
    if metric is None:
        return resolved(_usual(dataset), model, output, dataset)
    match metric:
        case Agreement(by=None):
            return metric.model_copy(update={"by": _likeness(model, output, dataset)})
        case Spearman(of=None):
            return metric.model_copy(update={"of": "pairs" if labels_are_of_pairs(dataset) else "values"})
        case PeakSignalToNoise(against=None):
            return metric.model_copy(update={"against": "labels" if dataset.labels else "original"})
        case BinaryCrossEntropy(against="input", input=None) if model.inputs:
            return metric.model_copy(update={"input": model.inputs[0].name})
    return metric


def labels_are_of_pairs(dataset: DatasetInspection) -> bool:
    """Whether labels are one for rows 2i and 2i + 1."""
    return dataset.labels is not None and dataset.labels.shape[0] * 2 == dataset.count


def _usual(dataset: DatasetInspection) -> Metric:
    if dataset.labels is None:
        return Agreement()
    if labels_are_of_pairs(dataset):
        return Spearman()
    return TopK(k=1) if dataset.label_kind == "integer" else MeanSquaredError()


def _likeness(model: ModelInspection, output: TensorSpec, dataset: DatasetInspection) -> str:
    if _is_classes(output):
        return "argmax"
    embeds = (
        _EMBEDDING.search(output.name) or not _TO_LENGTH_ONE.isdisjoint(model.operators) or labels_are_of_pairs(dataset)
    )
    return "argmax" if _is_scores(output) and not embeds else "cosine"


def _is_scores(output: TensorSpec) -> bool:
    shape = output.shape
    return shape is not None and len(shape) == 2 and isinstance(shape[1], int) and shape[1] >= 2


def _is_classes(output: TensorSpec) -> bool:
    """The class itself, as scikit-learn's classifiers give it first."""
    return "int" in output.dtype and (output.shape is None or len(output.shape) == 1)


def problems(
    metric: Metric, model: ModelInspection, output: TensorSpec, dataset: DatasetInspection, sizes: dict[str, int]
) -> Iterator[str]:
    """What keeps a resolved metric from being computed, one phrase each.

    Raises:
        BadInput: an expression reads what the model does not have; says where.
    """
    if output.dtype == "string":
        yield f"output '{output.name}' is text, which no metric judges; name another output in the metric"
    match metric:
        case Expression():
            _check_names(metric, model)
        case BinaryCrossEntropy(against="input"):
            yield from _input_problems(metric, model, output, dataset, sizes)
        case MeanAveragePrecision():
            yield from _detector_problems(metric, model)
    if not metric.needs_labels:
        return
    labels = dataset.labels
    if labels is None:
        yield f"the metric {metric.kind} needs an array 'labels', which the data does not have"
    elif isinstance(metric, Spearman):
        yield from _rank_problems(metric, output, labels, dataset.count, sizes)
    elif labels.shape[0] != dataset.count:
        pairs = ": one for each pair of rows, which 'spearman' judges" if labels_are_of_pairs(dataset) else ""
        yield f"there are {labels.shape[0]} labels for {dataset.count} samples{pairs}; {_NO_LABELS}"
    else:
        yield from _label_problems(metric, output, labels, dataset.label_kind == "integer", sizes)


def _label_problems(
    metric: Metric, output: TensorSpec, labels: ArraySpec, integer: bool, sizes: dict[str, int]
) -> Iterator[str]:
    match metric:
        case TopK():
            yield from _class_problems(metric.kind, output, labels, integer, sizes)
            yield from _top_k_problems(metric, output, -1 if not _labels_pixels(output, labels, sizes) else 1)
        case Perplexity():
            if _is_classes(output):
                yield f"output '{output.name}' is a class, and perplexity wants a score for each"
            yield from _class_problems(metric.kind, output, labels, integer, sizes)
        case MeanSquaredError() | PeakSignalToNoise() | BinaryCrossEntropy():
            yield from _alike_problems(metric.kind, output, labels, sizes)
        case MeanAveragePrecision():
            if len(labels.shape) != 3 or labels.shape[2] not in (5, 6):
                yield (
                    f"labels have the shape {_of_samples(labels)}; {metric.kind} wants [N, boxes, 5 or 6]: x1, y1, "
                    "x2, y2, (score,) class"
                )


def _class_problems(
    kind: str, output: TensorSpec, labels: ArraySpec, integer: bool, sizes: dict[str, int]
) -> Iterator[str]:
    if not integer:
        yield f"labels are {labels.dtype}; {kind} wants class numbers as integers"
    if output.shape is None:
        return
    wanted = output.shape if _is_classes(output) else output.shape[:-1]
    if _labels_pixels(output, labels, sizes):
        return
    if not axes_fit(wanted, list(labels.shape), dict(sizes), batch_first=True):
        yield (
            f"labels have the shape {_of_samples(labels)}; {kind} over the last axis of output "
            f"'{output.name}' {written(output.shape)} wants {written(wanted)}"
        )


def _labels_pixels(output: TensorSpec, labels: ArraySpec, sizes: dict[str, int]) -> bool:
    """Whether classes are counted on the second axis, as convolutions write them, with a label for each pixel."""
    shape = output.shape
    if shape is None or len(shape) < 4 or _is_classes(output):
        return False
    given: Shape = list(labels.shape)
    last = axes_fit(shape[:-1], given, dict(sizes), batch_first=True)
    return not last and axes_fit([shape[0], *shape[2:]], given, dict(sizes), batch_first=True)


def _top_k_problems(metric: TopK, output: TensorSpec, axis: int) -> Iterator[str]:
    if output.shape is None:
        return
    if _is_classes(output):
        if metric.k > 1:
            yield f"output '{output.name}' gives one class a sample, so no top {metric.k}; name an output with scores"
        return
    classes = output.shape[axis] if output.shape else None
    if isinstance(classes, int) and metric.k >= classes:
        yield (
            f"top {metric.k} of the {classes} classes of output '{output.name}' says nothing: it takes fewer than all"
            + ("" if metric.k > 1 else ", and a single score is judged by mean_squared_error or agreement")
        )


def _alike_problems(kind: str, output: TensorSpec, labels: ArraySpec, sizes: dict[str, int]) -> Iterator[str]:
    if not axes_fit(output.shape, list(labels.shape), dict(sizes), batch_first=True):
        yield (
            f"output '{output.name}' has the shape {written(output.shape)}, and its labels have "
            f"{_of_samples(labels)}; {kind} wants them alike; {_NO_LABELS}"
        )


def _rank_problems(
    metric: Spearman, output: TensorSpec, labels: ArraySpec, count: int, sizes: dict[str, int]
) -> Iterator[str]:
    given = f"labels have the shape {written(list(labels.shape))}"
    if len([axis for axis in labels.shape[1:] if axis != 1]):
        yield f"{given}; spearman wants one number for each sample or pair"
    if metric.of == "pairs":
        if labels.shape[0] * 2 != count:
            yield f"{given}, and {count} rows make {count // 2} pairs; {_NO_LABELS}"
        if output.shape is not None and len(output.shape) < 2:
            yield f"output '{output.name}' {written(output.shape)} has no vector for each row of a pair"
        return
    if labels.shape[0] != count:
        yield f"there are {labels.shape[0]} labels for {count} samples; {_NO_LABELS}"
    if not any(axes_fit(shape, one, dict(sizes), batch_first=True) for shape, one in _numbers(output.shape)):
        yield (
            f"output '{output.name}' has the shape {written(output.shape)}; spearman wants one number a sample, or "
            "labels one for each pair of rows"
        )


def _numbers(shape: Shape | None) -> list[tuple[Shape | None, Shape]]:
    return [(shape, [None]), (shape, [None, 1])]


def _input_problems(
    metric: BinaryCrossEntropy,
    model: ModelInspection,
    output: TensorSpec,
    dataset: DatasetInspection,
    sizes: dict[str, int],
) -> Iterator[str]:
    spec = next((one for one in model.inputs if one.name == metric.input), None)
    if spec is None:
        yield f"the metric is against input '{metric.input}', and the model's inputs are {_names(model.inputs)}"
    elif spec.shape is not None and not axes_fit(output.shape, list(spec.shape), dict(sizes), batch_first=True):
        yield (
            f"output '{output.name}' has the shape {written(output.shape)}, and input '{spec.name}' has "
            f"{written(spec.shape)}; {metric.kind} wants them alike"
        )


def _detector_problems(metric: MeanAveragePrecision, model: ModelInspection) -> Iterator[str]:
    for field, name in (("scores", metric.scores), ("classes", metric.classes)):
        if name is not None and name not in [spec.name for spec in model.outputs]:
            yield f"the metric takes {field} from output '{name}', and the model's outputs are {_names(model.outputs)}"


def _check_names(metric: Expression, model: ModelInspection) -> None:
    specs = {"outputs": model.outputs, "original": model.outputs, "inputs": model.inputs}
    for name in metric.names():
        known = specs.get(name.space)
        if known is not None and name.name is not None and name.name not in [spec.name for spec in known]:
            what = "inputs" if name.space == "inputs" else "outputs"
            raise BadInput(
                f"the expression reads '{name.name}', and the model's {what} are {_names(known)}\n"
                f"{pointed_at(metric.expression, name.at)}",
                code="expression_fails",
                hint="Correct the expression; docs/metrics.md says what there is.",
            )


def _of_samples(labels: ArraySpec) -> str:
    return written(["N", *labels.shape[1:]])


def _names(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"'{spec.name}'" for spec in specs) or "none"
