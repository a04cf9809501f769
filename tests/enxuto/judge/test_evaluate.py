"""A model is run over samples, scored, and held against what the original left."""

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.parser import parse_model
from scipy import stats

from enxuto.errors import BadInput
from enxuto.judge.evaluate import evaluate_model
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
from enxuto.steps import EvaluateModel, Evaluation, EvaluationFiles, Samples, Subject
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.tiny_samples import StepFiles

COUNT = 50
RANDOM = np.random.default_rng(0)
FEATURES = {"x": RANDOM.standard_normal((COUNT, 16)).astype(np.float32)}


@pytest.fixture
def files(tmp_path: Path) -> StepFiles:
    return StepFiles(tmp_path)


def evaluate(
    files: StepFiles,
    out: Path,
    model: onnx.ModelProto,
    samples: Samples,
    metric: Metric,
    *,
    reference: EvaluationFiles | None = None,
    batch_size: int = 1,
    relative: bool = False,
) -> Evaluation:
    out.mkdir()
    step = EvaluateModel(
        subject=Subject(model=files.add_model(model)),
        samples=samples,
        preprocessing={},
        metric=metric,
        workload=Workload(batch_size=batch_size),
        reference=reference,
        relative=relative,
    )
    return evaluate_model(step, files, out)


def left_by(files: StepFiles, out: Path, evaluation: Evaluation) -> EvaluationFiles:
    outputs = {name: files.add(out / file) for name, file in evaluation.outputs_files.items()}
    return EvaluationFiles(scores=files.add(out / evaluation.scores_file), outputs=outputs)


def outputs_of(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def shifted(model: onnx.ModelProto, amount: float) -> onnx.ModelProto:
    """The mlp with the first class's bias moved: some choices change."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    bias = next(weight for weight in changed.graph.initializer if weight.name == "bias2")
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] += amount
    bias.CopyFrom(onnx.numpy_helper.from_array(values, "bias2"))
    return changed


def test_a_model_on_labels_of_its_own_is_always_right(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.mlp()
    (scores,) = outputs_of(model, FEATURES)
    found = evaluate(files, tmp_path / "out", model, files.samples(FEATURES, scores.argmax(axis=1)), TopK())
    assert (found.metric_value, found.samples, found.drop, found.fidelity) == (1.0, COUNT, None, None)
    assert np.load(tmp_path / "out" / found.scores_file).tolist() == [1.0] * COUNT


def test_the_original_leaves_its_outputs_in_the_order_of_the_samples(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.two_in_two_out()
    feeds = {name: RANDOM.standard_normal((COUNT, 6)).astype(np.float32) for name in ("left", "right")}
    samples = files.samples(feeds, stop=20, seed=5)
    found = evaluate(files, tmp_path / "out", model, samples, Agreement(), batch_size=8)
    order = np.random.default_rng(5).permutation(COUNT)[:20]
    assert found.outputs_files == {"sum": "output_0.npy", "product": "output_1.npy"}
    for name, expected in zip(("sum", "product"), outputs_of(model, feeds), strict=True):
        kept = np.load(tmp_path / "out" / found.outputs_files[name])
        np.testing.assert_allclose(kept, expected[order], rtol=1e-5, atol=1e-6)


def test_the_original_against_itself_has_lost_nothing(files: StepFiles, tmp_path: Path) -> None:
    model, samples = tiny_models.mlp(), files.samples(FEATURES)
    first = evaluate(files, tmp_path / "first", model, samples, Agreement())
    reference = left_by(files, tmp_path / "first", first)
    again = evaluate(files, tmp_path / "again", model, samples, Agreement(), reference=reference)
    assert first.metric_value == again.metric_value == 1.0
    assert again.drop is not None
    assert again.drop.value == 0
    assert again.fidelity is not None
    assert (again.fidelity.sqnr_db, again.fidelity.agreement) == (None, 1.0)
    assert (again.outputs_files, again.worst) == ({}, [])


def test_what_a_changed_model_lost_is_counted_and_its_worst_samples_are_named(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.mlp()
    (scores,) = outputs_of(model, FEATURES)
    labels = scores.argmax(axis=1)
    samples = files.samples(FEATURES, labels, seed=3)
    reference = left_by(files, tmp_path / "a", evaluate(files, tmp_path / "a", model, samples, TopK()))
    changed = shifted(model, 1.5)
    found = evaluate(files, tmp_path / "b", changed, samples, TopK(), reference=reference)
    lost = set(np.flatnonzero(outputs_of(changed, FEATURES)[0].argmax(axis=1) != labels).tolist())
    assert found.drop is not None
    assert found.drop.worse == len(lost) > 0
    assert found.drop.value == pytest.approx(len(lost) / COUNT)
    assert set(found.worst) <= lost
    assert len(found.worst) == min(20, len(lost))
    assert found.worst_losses == [1.0] * len(found.worst), "each went from right to wrong"
    assert found.fidelity is not None
    assert found.fidelity.agreement == pytest.approx(1 - len(lost) / COUNT)
    assert found.fidelity.sqnr_db is not None


def test_the_batch_size_changes_nothing_that_is_found(files: StepFiles, tmp_path: Path) -> None:
    model, samples = tiny_models.mlp(), files.samples(FEATURES, RANDOM.integers(0, 4, COUNT))
    one, seven = (evaluate(files, tmp_path / str(n), model, samples, TopK(k=2), batch_size=n) for n in (1, 7))
    assert one.metric_value == seven.metric_value
    left, right = (np.load(tmp_path / str(n) / "output_0.npy") for n in (1, 7))
    np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def test_a_fixed_batch_axis_is_filled_by_repetition_and_cut_again(files: StepFiles, tmp_path: Path) -> None:
    feeds = {"image": RANDOM.standard_normal((10, 3, 8, 8)).astype(np.float32)}
    labels = RANDOM.integers(0, 10, 10)
    samples = files.samples(feeds, labels)
    fixed = evaluate(files, tmp_path / "fixed", tiny_models.fixed_convnet(batch=4), samples, TopK(k=3))
    free = evaluate(files, tmp_path / "free", tiny_models.convnet(), samples, TopK(k=3), batch_size=10)
    assert (fixed.samples, fixed.metric_value) == (10, free.metric_value)
    left, right = (np.load(tmp_path / name / "output_0.npy") for name in ("fixed", "free"))
    np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_tokens_are_scored_by_the_mean_over_their_positions(files: StepFiles, tmp_path: Path) -> None:
    rows = RANDOM.integers(0, 20, (12, 7))
    model = tiny_models.tokens()
    (logits,) = outputs_of(model, {"tokens": rows[:, :-1]})
    found = evaluate(files, tmp_path / "o", model, files.samples({"tokens": rows[:, :-1]}, rows[:, 1:]), TopK())
    assert found.metric_value == pytest.approx((logits.argmax(axis=-1) == rows[:, 1:]).mean())


def test_squared_error_is_taken_of_the_output_that_is_named(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.two_in_two_out()
    feeds = {name: RANDOM.standard_normal((COUNT, 6)).astype(np.float32) for name in ("left", "right")}
    labels = RANDOM.standard_normal((COUNT, 6)).astype(np.float32)
    metric = MeanSquaredError(output="product")
    found = evaluate(files, tmp_path / "o", model, files.samples(feeds, labels), metric)
    assert found.metric_value == pytest.approx(((outputs_of(model, feeds)[1] - labels) ** 2).mean(), rel=1e-5)


def test_outputs_that_are_no_numbers_show(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.mlp()
    (scores,) = outputs_of(model, FEATURES)
    samples = files.samples(FEATURES, scores.argmax(axis=1))
    reference = left_by(files, tmp_path / "a", evaluate(files, tmp_path / "a", model, samples, TopK()))
    found = evaluate(files, tmp_path / "b", shifted(model, np.nan), samples, TopK(), reference=reference)
    assert found.metric_value == 0
    assert found.fidelity is not None
    assert found.fidelity.nonfinite == COUNT


BOXES = """
<ir_version: 8, opset_import: ["" : 17]>
boxes (float[batch, 4] x) => (float[batch, 4] y, int64[axes, found] places, float total) {
    y = Relu(x)
    places = NonZero(y)
    total = ReduceSum<keepdims = 0>(x)
}
"""


def test_an_original_that_computes_nothing_but_nan_is_refused(files: StepFiles, tmp_path: Path) -> None:
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        ruined (float[N, 16] x) => (float[N, 16] y) { a = Abs(x)  b = Neg(a)  y = Log(b) }""")
    samples = files.samples(FEATURES, np.zeros(COUNT, np.int64))
    with pytest.raises(BadInput, match="NaN or infinity for every sample") as caught:
        evaluate(files, tmp_path / "out", model, samples, TopK())
    assert caught.value.code == "outputs_not_finite"


def test_outputs_that_do_not_count_samples_are_left_out(files: StepFiles, tmp_path: Path) -> None:
    samples = files.samples({"x": RANDOM.standard_normal((9, 4)).astype(np.float32)})
    model = parse_model(BOXES)
    found = evaluate(files, tmp_path / "a", model, samples, Agreement(), batch_size=4)
    assert list(found.outputs_files) == ["y"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["output_0.npy", "scores.npy"]
    again = evaluate(
        files, tmp_path / "b", model, samples, Agreement(), reference=left_by(files, tmp_path / "a", found)
    )
    assert again.metric_value == 1


def test_an_output_whose_shape_changes_is_not_kept(files: StepFiles, tmp_path: Path) -> None:
    by_place = BOXES.replace("places = NonZero(y)", "pairs = NonZero(y) places = Transpose(pairs)")
    model = parse_model(by_place.replace("[axes, found]", "[found, axes]"))
    x = np.array([[1, -1, -1, -1], [1, 1, -1, -1]], dtype=np.float32)
    found = evaluate(files, tmp_path / "a", model, files.samples({"x": x}), Agreement())
    assert list(found.outputs_files) == ["y"]


def test_judging_an_output_that_does_not_count_samples_is_refused(files: StepFiles, tmp_path: Path) -> None:
    samples = files.samples({"x": RANDOM.standard_normal((9, 4)).astype(np.float32)})
    with pytest.raises(BadInput) as refused:
        evaluate(files, tmp_path / "a", parse_model(BOXES), samples, Agreement(output="total"))
    assert refused.value.code == "output_not_per_sample"


def test_judging_an_output_that_is_not_there_is_refused(files: StepFiles, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'logits'") as refused:
        evaluate(files, tmp_path / "a", tiny_models.mlp(), files.samples(FEATURES), Agreement(output="logits"))
    assert refused.value.code == "output_missing"


def test_a_reference_of_other_samples_is_refused(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.mlp()
    first = evaluate(files, tmp_path / "a", model, files.samples(FEATURES), Agreement())
    reference = left_by(files, tmp_path / "a", first)
    with pytest.raises(BadInput) as refused:
        evaluate(files, tmp_path / "b", model, files.samples(FEATURES, stop=20), Agreement(), reference=reference)
    assert refused.value.code == "reference_does_not_match"


def test_another_export_with_other_names_is_compared_by_position(files: StepFiles, tmp_path: Path) -> None:
    model, samples = tiny_models.mlp(), files.samples(FEATURES)
    first = evaluate(files, tmp_path / "a", model, samples, Agreement())
    renamed = onnx.ModelProto.FromString(model.SerializeToString())
    renamed.graph.node[-1].output[0] = renamed.graph.output[0].name = "scores"
    reference = left_by(files, tmp_path / "a", first)
    found = evaluate(files, tmp_path / "b", renamed, samples, Agreement(), reference=reference)
    assert found.metric_value == 1
    assert found.fidelity is not None
    assert found.fidelity.agreement == 1


def test_memory_does_not_grow_with_the_samples(files: StepFiles, tmp_path: Path) -> None:
    """4,000 samples leave 8 MB of outputs; Python and NumPy hold a small part of them at a time."""
    x = RANDOM.standard_normal((4000, 16)).astype(np.float32)
    model, samples = tiny_models.mlp(hidden=8, classes=512), files.samples({"x": x})
    tracemalloc.start()
    try:
        evaluate(files, tmp_path / "a", model, samples, Agreement(), batch_size=64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "a" / "output_0.npy").stat().st_size > 8_000_000
    assert peak < 2_000_000


def both(
    files: StepFiles, folder: Path, model: onnx.ModelProto, changed: onnx.ModelProto, samples: Samples, metric: Metric
) -> tuple[Evaluation, Evaluation]:
    """The original, and a changed model held against it."""
    first = evaluate(files, folder / "first", model, samples, metric)
    reference = left_by(files, folder / "first", first)
    return first, evaluate(files, folder / "second", changed, samples, metric, reference=reference, relative=True)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_pairs_are_ranked_by_the_cosine_of_their_rows(files: StepFiles, tmp_path: Path, batch_size: int) -> None:
    model, labels = tiny_models.mlp(), RANDOM.random(COUNT // 2)
    samples = files.samples(FEATURES, labels, stop=40, seed=2, group=2)
    found = evaluate(files, tmp_path / "o", model, samples, Spearman(of="pairs"), batch_size=batch_size)
    (vectors,) = outputs_of(model, FEATURES)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (unit[0::2] * unit[1::2]).sum(axis=1)
    picked = np.random.default_rng(2).permutation(COUNT // 2)[:20]
    assert found.metric_value == pytest.approx(stats.spearmanr(cosines[picked], labels[picked]).statistic)
    assert np.load(tmp_path / "o" / found.scores_file).shape == (20, 2)


def test_what_pairs_lost_is_counted_in_rows_and_the_worst_are_named_by_their_first(
    files: StepFiles, tmp_path: Path
) -> None:
    model = tiny_models.mlp()
    (vectors,) = outputs_of(model, FEATURES)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = (unit[0::2] * unit[1::2]).sum(axis=1)
    samples = files.samples(FEATURES, labels, group=2)
    before, after = both(files, tmp_path, model, shifted(model, 0.5), samples, Spearman(of="pairs"))
    assert before.metric_value == pytest.approx(1)
    assert after.drop is not None
    assert after.drop.value == pytest.approx(1 - after.metric_value)
    assert (after.drop.samples, after.samples) == (COUNT, COUNT)
    assert after.worst
    assert all(index % 2 == 0 for index in after.worst)
    assert after.fidelity is not None
    assert after.fidelity.agreement is None, "the highest number of a vector is no choice"


def test_one_number_a_sample_is_ranked_against_its_label(files: StepFiles, tmp_path: Path) -> None:
    model, labels = tiny_models.mlp(classes=1), RANDOM.integers(0, 5, COUNT)
    found = evaluate(files, tmp_path / "o", model, files.samples(FEATURES, labels), Spearman(of="values"))
    expected = stats.spearmanr(outputs_of(model, FEATURES)[0][:, 0], labels).statistic
    assert found.metric_value == pytest.approx(expected)


def test_perplexity_weighs_positions_and_not_samples(files: StepFiles, tmp_path: Path) -> None:
    rows = RANDOM.integers(0, 20, (12, 7))
    labels = rows[:, 1:].copy()
    labels[3, 2:] = -100
    model = tiny_models.tokens()
    (logits,) = outputs_of(model, {"tokens": rows[:, :-1]})
    losses = np.log(np.exp(logits).sum(axis=-1)) - np.take_along_axis(logits, rows[:, 1:, None], -1)[..., 0]
    samples = files.samples({"tokens": rows[:, :-1]}, labels)
    found = evaluate(files, tmp_path / "o", model, samples, Perplexity())
    assert found.metric_value == pytest.approx(np.exp(losses[labels >= 0].mean()), rel=1e-5)


def test_labels_that_count_nowhere_are_refused(files: StepFiles, tmp_path: Path) -> None:
    rows = RANDOM.integers(0, 20, (12, 6))
    samples = files.samples({"tokens": rows}, np.full((12, 6), -100))
    with pytest.raises(BadInput, match="all of them are negative"):
        evaluate(files, tmp_path / "o", tiny_models.tokens(), samples, Perplexity())


@pytest.mark.parametrize("average", ["dataset", "sample"])
def test_psnr_takes_the_peak_from_all_labels_where_none_is_given(
    files: StepFiles, tmp_path: Path, average: str
) -> None:
    model = tiny_models.mlp()
    (outputs,) = outputs_of(model, FEATURES)
    labels = outputs + RANDOM.normal(0, 0.1, outputs.shape).astype(np.float32)
    metric = PeakSignalToNoise.model_validate({"average": average})
    found = evaluate(files, tmp_path / "o", model, files.samples(FEATURES, labels, stop=30), metric)
    rows = np.random.default_rng(0).permutation(COUNT)[:30]
    errors = ((outputs - labels)[rows] ** 2).mean(axis=1)
    ratios = 10 * np.log10((labels.max() - labels.min()) ** 2 / (errors.mean() if average == "dataset" else errors))
    assert found.metric_value == pytest.approx(np.mean(ratios), rel=1e-4)


def test_psnr_without_labels_is_against_the_original(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.mlp()
    changed, metric = shifted(model, 0.1), PeakSignalToNoise(peak=2.0, against="original")
    before, after = both(files, tmp_path, model, changed, files.samples(FEATURES), metric)
    error = ((outputs_of(model, FEATURES)[0] - outputs_of(changed, FEATURES)[0]) ** 2).mean()
    assert before.metric_value == 100, "the ceiling: a model is what it is"
    assert after.metric_value == pytest.approx(10 * np.log10(4 / error), rel=1e-5)
    assert after.drop is not None
    assert after.drop.value == pytest.approx(1 - after.metric_value / 100)


def test_an_autoencoder_is_held_against_its_input(files: StepFiles, tmp_path: Path) -> None:
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        sharpened (float[N, 4] x) => (float[N, 4] y) { y = Mul(x, x) }""")
    x = RANDOM.uniform(0.1, 0.9, (20, 4)).astype(np.float32)
    metric = BinaryCrossEntropy(against="input")
    found = evaluate(files, tmp_path / "o", model, files.samples({"x": x}), metric)
    assert found.metric_value == pytest.approx(-(x * np.log(x**2) + (1 - x) * np.log(1 - x**2)).sum(1).mean(), rel=1e-5)


def test_an_expression_reads_outputs_inputs_labels_and_the_original(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.mlp()
    changed, labels = shifted(model, 1.5), RANDOM.integers(0, 4, COUNT)
    text = "(argmax(output) == labels) + mean(abs(outputs.y - original)) * max(inputs.x)"
    name = model.graph.output[0].name
    metric = Expression(expression=text.replace("outputs.y", f"outputs['{name}']"), higher_is_better=False)
    _, after = both(files, tmp_path, model, changed, files.samples(FEATURES, labels), metric)
    old, new = outputs_of(model, FEATURES)[0], outputs_of(changed, FEATURES)[0]
    expected = (new.argmax(1) == labels) + np.abs(new - old).mean(1) * FEATURES["x"].max(axis=1)
    assert after.metric_value == pytest.approx(expected.mean(), rel=1e-5)


DETECTOR = """
<ir_version: 8, opset_import: ["" : 17]>
found (float[batch, 3, 6] x) => (float[K, 4] boxes, float[K] scores, float[K] classes)
<int64[3] start = {0, 4, 5}, int64[3] end = {4, 5, 6}, int64[1] axis = {1}, int64[1] zero = {0}, int64[1] four = {4},
 int64[1] five = {5}, int64[1] six = {6}, int64[2] rows = {-1, 6}, int64[1] flat = {-1}> {
    all = Reshape(x, rows)
    score_column = Slice(all, four, five, axis)
    score = Reshape(score_column, flat)
    nothing = Sub(score, score)
    good = Greater(score, nothing)
    kept = Compress<axis = 0>(all, good)
    boxes = Slice(kept, zero, four, axis)
    score_kept = Slice(kept, four, five, axis)
    scores = Reshape(score_kept, flat)
    class_kept = Slice(kept, five, six, axis)
    classes = Reshape(class_kept, flat)
}
"""


def test_a_detector_that_suppresses_by_itself_is_judged_image_by_image(files: StepFiles, tmp_path: Path) -> None:
    """Its boxes have no axis for images, and another number of them each time."""
    box = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]], dtype=np.float32)
    x = np.zeros((12, 3, 6), dtype=np.float32)
    x[:, :, :4] = box
    x[:, :, 4] = RANDOM.uniform(0.1, 1, (12, 3)) * (RANDOM.random((12, 3)) < 0.7)
    labels = np.tile(np.concatenate([box, np.zeros((3, 1))], axis=1), (12, 1, 1))
    metric = MeanAveragePrecision(scores="scores", classes="classes")
    found = evaluate(files, tmp_path / "o", parse_model(DETECTOR), files.samples({"x": x}, labels), metric)
    assert found.metric_value == pytest.approx(np.count_nonzero(x[:, :, 4]) / 36)
    assert found.outputs_files == {}


def test_labels_that_are_the_originals_own_outputs_leave_no_share_to_lose(files: StepFiles, tmp_path: Path) -> None:
    model = tiny_models.mlp()
    samples = files.samples(FEATURES, outputs_of(model, FEATURES)[0])
    with pytest.raises(BadInput, match="what it computes itself") as refused:
        evaluate(files, tmp_path / "a", model, samples, MeanSquaredError(), relative=True)
    assert refused.value.code == "metric_is_zero"
    assert evaluate(files, tmp_path / "b", model, samples, MeanSquaredError()).metric_value < 1e-9


def test_labels_that_are_all_the_same_cannot_be_ranked(files: StepFiles, tmp_path: Path) -> None:
    samples = files.samples(FEATURES, np.ones(COUNT // 2), group=2)
    with pytest.raises(BadInput, match="nothing to be ranked"):
        evaluate(files, tmp_path / "o", tiny_models.mlp(), samples, Spearman(of="pairs"))
