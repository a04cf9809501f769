"""Data that does not fit a model is refused with every difference; the metric follows from labels and output."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from enxuto.errors import BadInput
from enxuto.fit import check_fit
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
from enxuto.preprocessing import InputPreprocessing, Preprocessing
from enxuto.signature import ArraySpec, DatasetInspection, ModelInspection, TensorSpec

Shape = list[int | str | None] | None
IMAGE = ("image", "float32", ["batch", 3, 8, 8])
SCORES = ("scores", "float32", ["batch", 10])


def model(
    inputs: list[tuple[str, str, Shape]] = [IMAGE],  # noqa: B006 - never changed
    outputs: list[tuple[str, str, Shape]] = [SCORES],  # noqa: B006
) -> ModelInspection:
    def specs(rows: list[tuple[str, str, Shape]]) -> list[TensorSpec]:
        return [TensorSpec(name=name, dtype=dtype, shape=shape) for name, dtype, shape in rows]

    return ModelInspection(
        inputs=specs(inputs), outputs=specs(outputs), ir_version=8, opsets={"ai.onnx": 17}, producer="",
        parameters=1, operators={}, size_bytes=1, quantized=False, precision="float32", control_flow=False,
        batch_size=None, advice=[],
    )  # fmt: skip


def data(
    labels: tuple[str, list[int]] | None = None, count: int = 20, **arrays: tuple[str, list[int]]
) -> DatasetInspection:
    def array(name: str, dtype: str, shape: list[int]) -> ArraySpec:
        return ArraySpec(name=name, dtype=dtype, shape=shape, size_bytes=1, file="array_0.npy")

    return DatasetInspection(
        format="npz",
        arrays=[array(name, dtype, [count, *shape]) for name, (dtype, shape) in arrays.items()],
        labels=array("labels", *labels) if labels else None,
        label_kind=None if labels is None else "float" if labels[0].startswith("float") else "integer",
        count=count,
        size_bytes=1,
    )


def images(labels: tuple[str, list[int]] | None = None) -> DatasetInspection:
    return data(labels, image=("float32", [3, 8, 8]))


def refusal(
    model: ModelInspection, data: DatasetInspection, how: Preprocessing | None = None, metric: Metric | None = None
) -> str:
    with pytest.raises(BadInput) as caught:
        check_fit(model, data, how or {}, metric)
    assert caught.value.code == "data_does_not_fit"
    return caught.value.detail


@pytest.mark.parametrize(
    ("outputs", "labels", "metric"),
    [
        ([SCORES], ("int64", [20]), TopK(k=1)),
        ([SCORES], ("uint8", [20]), TopK(k=1)),
        ([("logits", "float32", ["batch", "sequence", 65])], ("int64", [20, 12]), TopK(k=1)),
        ([("classes", "float32", ["batch", 6, "h", "w"])], ("int64", [20, 8, 12]), TopK(k=1)),
        ([("label", "int64", [None]), SCORES], ("int64", [20]), TopK(k=1)),
        ([("label", "int64", [1]), ("odds", "unknown", None)], ("int64", [20]), TopK(k=1)),
        ([("scores", "float32", None)], ("int64", [20]), TopK(k=1)),
        ([("pixels", "float32", ["batch", 784])], ("float32", [20, 784]), MeanSquaredError()),
        ([SCORES], None, Agreement(by="argmax")),
        ([("label", "int64", [None])], None, Agreement(by="argmax")),
        ([("one", "float32", ["batch", 1])], None, Agreement(by="cosine")),
        ([("boxes", "float32", ["batch", 85, 22, 22])], None, Agreement(by="cosine")),
        ([("unknown", "float32", None)], None, Agreement(by="cosine")),
        ([("sentence_embedding", "float32", ["batch", 384])], None, Agreement(by="cosine")),
        ([("reconstructed_image", "float32", ["batch", 784])], None, Agreement(by="cosine")),
        ([("embedding", "float32", ["batch", 384])], ("float32", [10]), Spearman(of="pairs")),
        ([SCORES], ("int64", [10]), Spearman(of="pairs")),
    ],
)
def test_the_metric_follows_from_labels_and_output(
    outputs: list[tuple[str, str, Shape]], labels: tuple[str, list[int]] | None, metric: Metric
) -> None:
    assert check_fit(model(outputs=outputs), images(labels), {}, None) == metric


def test_vectors_of_length_one_are_embeddings_whatever_their_name() -> None:
    scaled = model().model_copy(update={"operators": {"MatMul": 3, "ReduceL2": 1}})
    assert check_fit(scaled, images(), {}, None) == Agreement(by="cosine")
    assert check_fit(model(), images(("float32", [10])), {}, Agreement()) == Agreement(by="cosine")


PICTURE = ("picture", "float32", ["batch", 3, 8, 8])
LOGITS = ("logits", "float32", ["batch", 12, 65])


@pytest.mark.parametrize(
    ("outputs", "labels", "asked", "metric"),
    [
        ([("one", "float32", ["batch", 1])], ("float32", [20]), Spearman(), Spearman(of="values")),
        ([LOGITS], ("int64", [20, 12]), Perplexity(), Perplexity()),
        ([PICTURE], ("float32", [20, 3, 8, 8]), PeakSignalToNoise(), PeakSignalToNoise(against="labels")),
        ([PICTURE], None, PeakSignalToNoise(), PeakSignalToNoise(against="original")),
        ([PICTURE], None, BinaryCrossEntropy(against="input"), BinaryCrossEntropy(against="input", input="image")),
        ([("b", "float32", ["n", 9, 4]), ("s", "float32", ["n", 9])], ("float32", [20, 7, 5]),
         MeanAveragePrecision(scores="s"), MeanAveragePrecision(scores="s")),
        ([SCORES], None, Expression(expression="mean(output == original.scores) + mean(inputs.image)"),
         Expression(expression="mean(output == original.scores) + mean(inputs.image)")),
    ],
)  # fmt: skip
def test_what_is_left_open_in_a_metric_is_settled(
    outputs: list[tuple[str, str, Shape]], labels: tuple[str, list[int]] | None, asked: Metric, metric: Metric
) -> None:
    assert check_fit(model(outputs=outputs), images(labels), {}, asked) == metric


@pytest.mark.parametrize(
    ("outputs", "labels", "metric", "says"),
    [
        ([SCORES], ("float32", [20]), Spearman(), "spearman wants one number a sample"),
        ([SCORES], ("float32", [20]), Spearman(of="pairs"), "20 rows make 10 pairs"),
        ([SCORES], ("float32", [10, 3]), Spearman(), "one number for each sample or pair"),
        ([("one", "float32", ["batch"])], ("float32", [10]), None, "no vector for each row"),
        ([LOGITS], ("int64", [20, 11]), Perplexity(), "wants [batch, 12]"),
        ([LOGITS], ("float32", [20, 12]), Perplexity(), "class numbers as integers"),
        ([LOGITS], None, Perplexity(), "needs an array 'labels'"),
        ([PICTURE], ("float32", [20, 3, 9, 9]), PeakSignalToNoise(), "psnr wants them alike"),
        ([SCORES], None, BinaryCrossEntropy(against="input"), "input 'image' has [batch, 3, 8, 8]"),
        ([SCORES], None, BinaryCrossEntropy(against="input", input="nope"), "'nope'"),
        ([PICTURE], ("float32", [20, 5]), MeanAveragePrecision(), "x1, y1, x2, y2"),
        ([PICTURE], ("float32", [20, 7, 5]), MeanAveragePrecision(scores="nope"), "scores from output 'nope'"),
        ([PICTURE], ("float32", [20, 7, 5]), MeanAveragePrecision(boxes="nope"), "judges 'nope'"),
        ([SCORES], None, Expression(expression="mean(labels)"), "needs an array 'labels'"),
    ],
)
def test_what_a_metric_needs_and_does_not_have_is_told(
    outputs: list[tuple[str, str, Shape]], labels: tuple[str, list[int]] | None, metric: Metric | None, says: str
) -> None:
    assert says in refusal(model(outputs=outputs), images(labels), metric=metric)


@pytest.mark.parametrize(
    ("text", "says", "at"),
    [("mean(outputs.score)", "outputs are 'scores'", 5), ("mean(inputs.scores)", "inputs are 'image'", 5)],
)
def test_an_expression_that_reads_what_is_not_there_is_refused_with_the_place(text: str, says: str, at: int) -> None:
    with pytest.raises(BadInput) as refused:
        check_fit(model(), images(), {}, Expression(expression=text))
    assert refused.value.code == "expression_fails"
    assert says in refused.value.detail
    assert refused.value.detail.endswith(f"\n  {text}\n  {' ' * at}^")


def test_the_first_output_that_is_a_tensor_is_judged() -> None:
    found = check_fit(model(outputs=[("odds", "unknown", None), SCORES]), images(("int64", [20])), {}, None)
    assert found == TopK(k=1)


def test_an_explicit_metric_is_kept_and_agreement_settled() -> None:
    labelled = images(("int64", [20]))
    assert check_fit(model(), labelled, {}, TopK(k=5)) == TopK(k=5)
    assert check_fit(model(), labelled, {}, Agreement()) == Agreement(by="argmax")
    assert check_fit(model(), labelled, {}, Agreement(by="cosine")) == Agreement(by="cosine")


def test_agreement_asks_nothing_of_labels() -> None:
    boxes = images(("float32", [20, 20, 6]))
    pairs = images(("float32", [10]))
    assert check_fit(model(), boxes, {}, Agreement(by="cosine")) == Agreement(by="cosine")
    assert check_fit(model(), pairs, {}, Agreement(by="cosine")) == Agreement(by="cosine")


@pytest.mark.parametrize(
    ("outputs", "labels", "metric", "says"),
    [
        ([SCORES], None, TopK(), "needs an array 'labels'"),
        ([SCORES], ("float32", [20]), TopK(), "as integers"),
        ([SCORES], ("int64", [20, 3]), None, "labels have the shape [N, 3]"),
        ([SCORES], ("float32", [20, 9]), None, "wants them alike"),
        ([SCORES], ("int64", [20]), TopK(k=11), "10 classes"),
        ([SCORES], ("int64", [20]), TopK(k=10), "says nothing"),
        ([("chance", "float32", ["batch", 1])], ("int64", [20]), None, "a single score"),
        ([("class", "int64", ["batch"])], ("int64", [20]), TopK(k=5), "one class a sample"),
        ([SCORES], ("int64", [20]), TopK(output="nope"), "'nope'"),
        ([SCORES], ("int64", [10]), TopK(), "one for each pair of rows, which 'spearman' judges"),
        ([SCORES], ("int64", [7]), None, "7 labels for 20 samples"),
        ([("odds", "unknown", None)], None, None, "none of the model's outputs"),
        ([("text", "string", ["batch"])], None, None, "text"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_refused(
    outputs: list[tuple[str, str, Shape]], labels: tuple[str, list[int]] | None, metric: Metric | None, says: str
) -> None:
    assert says in refusal(model(outputs=outputs), images(labels), metric=metric)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"picture": ("float32", [3, 8, 8])}, "'image' has no array"),
        ({"image": ("float32", [3, 8, 8]), "mask": ("bool", [3])}, "'mask' is no input"),
        ({"image": ("uint8", [3, 8, 8])}, "takes float32, array 'image' is uint8"),
        ({"image": ("float64", [3, 8, 8])}, "is float64"),
        ({"image": ("float32", [8, 8, 3])}, "[batch, 3, 8, 8], the data gives [N, 8, 8, 3]"),
        ({"image": ("float32", [192])}, "the data gives [N, 192]"),
    ],
)
def test_differences_between_inputs_and_arrays_are_spelled_out(
    arrays: dict[str, tuple[str, list[int]]], says: str
) -> None:
    assert says in refusal(model(), data(**arrays))


def test_every_difference_is_told_at_once() -> None:
    two = model([IMAGE, ("mask", "bool", ["batch", 4])])
    told = refusal(two, data(image=("uint8", [3, 8, 9]), extra=("float32", [1])))
    for part in ("'mask' has no array", "'extra' is no input", "is uint8", "[N, 3, 8, 9]"):
        assert part in told


def test_one_symbol_has_one_size_over_all_inputs() -> None:
    two = model([("ids", "int64", ["b", "sequence"]), ("mask", "int64", ["b", "sequence"])])
    check_fit(two, data(ids=("int64", [7]), mask=("int64", [7])), {}, None)
    assert "[b, sequence]" in refusal(two, data(ids=("int64", [7]), mask=("int64", [8])))


def test_labels_of_a_sequence_are_as_long_as_the_sequence() -> None:
    words = model([("ids", "int64", ["b", "sequence"])], [("logits", "float32", ["b", "sequence", 9])])
    check_fit(words, data(("int64", [20, 7]), ids=("int64", [7])), {}, None)
    assert "[N, 8]" in refusal(words, data(("int64", [20, 8]), ids=("int64", [7])))


def test_a_fixed_batch_axis_takes_any_number_of_samples() -> None:
    fixed = model([("image", "float32", [4, 3, 8, 8])], [("scores", "float32", [4, 10])])
    assert check_fit(fixed, images(("int64", [20])), {}, None) == TopK(k=1)


def test_an_input_of_unknown_rank_takes_any_shape() -> None:
    assert check_fit(model([("image", "float32", None)]), images(), {}, None) == Agreement(by="argmax")


def preprocessing(**fields: object) -> Preprocessing:
    return {"image": InputPreprocessing.model_validate(fields)}


SCALED = model([IMAGE, ("t", "float32", [])])


def beside_images(**shapes: list[int]) -> DatasetInspection:
    """Images, or what else is called so, and arrays of these very shapes, which none is put before."""
    arrays = {"image": [20, 3, 8, 8], **shapes}
    specs = [
        ArraySpec(name=name, dtype="float32", shape=shape, size_bytes=1, file="array_0.npy")
        for name, shape in arrays.items()
    ]
    return images().model_copy(update={"arrays": specs})


def test_a_single_number_fits_an_input_without_axes() -> None:
    assert check_fit(SCALED, beside_images(t=[]), {}, None) == Agreement(by="argmax")
    scaled = {"t": InputPreprocessing(scale=0.5, mean=[1.0], std=[2.0])}
    assert check_fit(SCALED, beside_images(t=[]), scaled, None) == Agreement(by="argmax")


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"t": [20]}, "input 't' wants the shape [], the data gives [N]"),
        ({"t": [20, 1]}, "input 't' wants the shape [], the data gives [N, 1]"),
        ({"t": [], "image": []}, "input 'image' wants the shape [batch, 3, 8, 8], the data gives a single number"),
    ],
)
def test_a_single_number_fits_nothing_else_and_an_input_without_axes_takes_nothing_else(
    shapes: dict[str, list[int]], says: str
) -> None:
    with pytest.raises(BadInput, match="does not fit the model") as caught:
        check_fit(SCALED, beside_images(**shapes), {}, None)
    assert says in caught.value.detail
    assert "For an input of shape [], store a single number" in caught.value.hint


def test_an_input_of_unknown_rank_is_not_taken_for_a_single_number() -> None:
    says = refusal(model([IMAGE, ("t", "float32", None)]), beside_images(t=[]))
    assert "input 't' wants the shape […], the data gives a single number" in says


def test_a_single_number_has_no_channels_and_no_layout() -> None:
    how: Preprocessing = {"t": InputPreprocessing(mean=[1.0, 2.0])}
    assert "mean has 2 numbers for the 1 channels of array 't'" in refusal(SCALED, beside_images(t=[]), how)
    laid_out: Preprocessing = {"t": InputPreprocessing.model_validate({"from": "NC", "to": "NC"})}
    assert "array 't' has 0 axes, its layout 'NC' names 2" in refusal(SCALED, beside_images(t=[]), laid_out)


def test_preprocessing_settles_type_and_layout() -> None:
    pixels = data(image=("uint8", [8, 8, 3]))
    how = preprocessing(scale=1 / 255, mean=[0.1, 0.2, 0.3], **{"from": "NHWC", "to": "NCHW"})
    assert check_fit(model(), pixels, how, None) == Agreement(by="argmax")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (preprocessing(scale=1 / 255), "the data gives [N, 8, 8, 3]"),
        (preprocessing(**{"from": "NHC", "to": "NCH"}), "has 4 axes, its layout 'NHC' names 3"),
        (preprocessing(mean=[0.1, 0.2], **{"from": "NHWC", "to": "NCHW"}), "mean has 2 numbers for the 3 channels"),
        (preprocessing(std=[1.0] * 8, **{"from": "NHWC", "to": "NCHW"}), "std has 8 numbers for the 3 channels"),
        ({"other": InputPreprocessing()}, "'other', which is no input"),
    ],
)
def test_preprocessing_that_does_not_fit_is_refused(how: Preprocessing, says: str) -> None:
    assert says in refusal(model(), data(image=("uint8", [8, 8, 3])), how)


def test_integers_are_not_preprocessed() -> None:
    words = model([("ids", "int64", ["b", "s"])])
    assert "only inputs that take floats" in refusal(words, data(ids=("int64", [7])), {"ids": InputPreprocessing()})


def test_a_thousand_differences_are_counted_and_not_all_told() -> None:
    how = {f"input{number}": InputPreprocessing() for number in range(1000)}
    told = refusal(model(), images(None), how)
    assert "980 more differences" in told
    assert len(told) < 3000


@pytest.mark.parametrize("how", [{"scale": 0.0}, {"scale": 1e39}, {"std": [1e-46]}, {"mean": [1e300]}])
def test_preprocessing_that_leaves_no_samples_apart_is_refused(how: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        InputPreprocessing.model_validate(how)
