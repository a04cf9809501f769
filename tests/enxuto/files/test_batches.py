"""Samples come in an order drawn by seed, prepared as declared; a batch to run on comes with or without data."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.errors import BadInput
from enxuto.preprocessing import InputPreprocessing, Preprocessing
from enxuto.signature import TensorSpec
from enxuto.workload import Workload
from tests.support import tiny_data
from tests.support.inspection import all_samples
from tests.support.tiny_samples import StepFiles

IMAGE = TensorSpec(name="image", dtype="float32", shape=["batch", 3, 8, 8])
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def batches(
    path: Path, *inputs: TensorSpec, how: Preprocessing | None = None, start: int = 0, stop: int | None = None
) -> SampleBatches:
    samples, files = all_samples(path, start=start, stop=stop, seed=5)
    return SampleBatches(samples, files, how or {}, inputs)


def declared(**fields: object) -> Preprocessing:
    return {"image": InputPreprocessing.model_validate(fields)}


def test_samples_come_in_the_order_that_the_seed_draws(tmp_path: Path) -> None:
    path = tiny_data.images(tmp_path / "d.npz", count=10)
    part = batches(path, IMAGE, start=3, stop=9)
    order = np.random.default_rng(5).permutation(10)[3:9]
    stored = np.load(path)
    np.testing.assert_array_equal(part.indices, order)
    assert part.count == 6
    read = np.concatenate([batch["image"] for batch in part(4)])
    np.testing.assert_array_equal(read, stored["image"][order])
    np.testing.assert_array_equal(part.labels(), stored["labels"][order])


def test_splits_of_one_seed_share_no_sample(tmp_path: Path) -> None:
    path = tiny_data.images(tmp_path / "d.npz", count=10)
    first, second = batches(path, IMAGE, stop=4), batches(path, IMAGE, start=4)
    assert sorted([*first.indices, *second.indices]) == list(range(10))


def test_rows_of_a_group_are_read_one_after_the_other_with_a_label_each_group(tmp_path: Path) -> None:
    files = StepFiles(tmp_path)
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    x = TensorSpec(name="x", dtype="float32", shape=["n", 2])
    samples = files.samples({"x": rows}, np.arange(5) * 10, seed=4, group=2).model_copy(update={"start": 2, "stop": 8})
    part = SampleBatches(samples, files, {}, [x])
    groups = np.random.default_rng(4).permutation(5)[1:4]
    assert part.indices.tolist() == [row for group in groups for row in (2 * group, 2 * group + 1)]
    assert (part.count, part.group) == (6, 2)
    np.testing.assert_array_equal(np.concatenate([batch["x"] for batch in part(4)]), rows[part.indices])
    np.testing.assert_array_equal(part.labels(), groups * 10)
    a_label_each = files.samples({"x": rows}, np.arange(10), seed=4, group=2)
    each = SampleBatches(a_label_each, files, {}, [x])
    np.testing.assert_array_equal(each.labels(), each.indices)


def test_the_last_batch_may_be_smaller_and_reading_starts_anew_each_time(tmp_path: Path) -> None:
    part = batches(tiny_data.images(tmp_path / "d.npz", count=10), IMAGE)
    assert [len(batch["image"]) for batch in part(4)] == [4, 4, 2]
    assert [len(batch["image"]) for batch in part(4)] == [4, 4, 2]


def test_bytes_become_normalized_planes(tmp_path: Path) -> None:
    path = tiny_data.byte_images(tmp_path / "d.npz", count=6)
    how = declared(scale=1 / 255, mean=MEAN, std=STD, **{"from": "NHWC", "to": "NCHW"})
    part = batches(path, IMAGE, how=how)
    (batch,) = part(6)
    pixels = np.load(path)["image"][part.indices].astype(np.float32)
    expected = (pixels * np.float32(1 / 255) - np.float32(MEAN)) / np.float32(STD)
    np.testing.assert_array_equal(batch["image"], expected.transpose(0, 3, 1, 2))
    assert batch["image"].dtype == np.float32
    assert batch["image"].flags.c_contiguous


def test_channels_are_found_by_the_layout_as_stored(tmp_path: Path) -> None:
    path = tiny_data.images(tmp_path / "d.npz", count=4)
    part = batches(path, IMAGE, how=declared(mean=MEAN, **{"from": "NCHW", "to": "NCHW"}))
    (batch,) = part(4)
    expected = np.load(path)["image"][part.indices] - np.float32(MEAN).reshape(1, 3, 1, 1)
    np.testing.assert_array_equal(batch["image"], expected)


def test_without_a_layout_the_last_axis_holds_the_channels(tmp_path: Path) -> None:
    path = tiny_data.features(tmp_path / "d.npz", count=4, width=3)
    spec = TensorSpec(name="x", dtype="float32", shape=["n", 3])
    part = batches(path, spec, how={"x": InputPreprocessing(mean=[1.0, 2.0, 3.0], std=[2.0])})
    (batch,) = part(4)
    expected = (np.load(path)["x"][part.indices] - np.float32([1, 2, 3])) / np.float32(2)
    np.testing.assert_array_equal(batch["x"], expected)


def test_arrays_without_preprocessing_are_fed_as_stored(tmp_path: Path) -> None:
    path = tiny_data.token_rows(tmp_path / "d.npz", count=4)
    (batch,) = batches(path, TensorSpec(name="tokens", dtype="int64", shape=["b", "s"]))(4)
    assert batch["tokens"].dtype == np.int64


@pytest.mark.parametrize(("dtype", "expected"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_what_was_computed_in_float32_becomes_the_inputs_own_float(tmp_path: Path, dtype: str, expected: type) -> None:
    path = tiny_data.byte_images(tmp_path / "d.npz", count=4)
    spec = TensorSpec(name="image", dtype=dtype, shape=["n", 8, 8, 3])
    (batch,) = batches(path, spec, how=declared(scale=1 / 255))(4)
    assert batch["image"].dtype == expected


def test_labels_of_pairs_are_not_labels_of_samples(tmp_path: Path) -> None:
    path = tiny_data.write(tmp_path / "d.npz", {"x": np.ones((6, 2), np.float32), "labels": np.ones(3)})
    assert batches(path, TensorSpec(name="x", dtype="float32", shape=["n", 2])).labels() is None


def test_an_input_without_an_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="mask") as caught:
        batches(tiny_data.images(tmp_path / "d.npz"), IMAGE, TensorSpec(name="mask", dtype="bool", shape=["batch"]))
    assert caught.value.code == "data_does_not_fit"


def test_a_batch_of_the_workloads_size_repeats_samples_where_there_are_too_few(tmp_path: Path) -> None:
    part = batches(tiny_data.images(tmp_path / "d.npz", count=3), IMAGE)
    (whole,) = part(3)
    feeds = feeds_for([IMAGE], Workload(batch_size=7), part, seed=0)
    np.testing.assert_array_equal(feeds["image"], whole["image"][[0, 1, 2, 0, 1, 2, 0]])


def test_a_fixed_batch_axis_is_taken_as_it_is(tmp_path: Path) -> None:
    fixed = TensorSpec(name="image", dtype="float32", shape=[4, 3, 8, 8])
    part = batches(tiny_data.images(tmp_path / "d.npz", count=9), fixed)
    assert feeds_for([fixed], Workload(batch_size=2), part, seed=0)["image"].shape == (4, 3, 8, 8)
    assert feeds_for([fixed], Workload(batch_size=2), None, seed=0)["image"].shape == (4, 3, 8, 8)


def test_without_data_symbols_are_as_long_as_the_workload_says() -> None:
    tokens = TensorSpec(name="tokens", dtype="int64", shape=["batch", "sequence"])
    state = TensorSpec(name="state", dtype="float32", shape=[2, "batch", None, "other"])
    feeds = feeds_for([tokens, state], Workload(batch_size=3, dims={"sequence": 5}), None, seed=0)
    assert {name: array.shape for name, array in feeds.items()} == {"tokens": (3, 5), "state": (2, 3, 1, 1)}
    assert feeds["tokens"].dtype == np.int64
    assert set(np.unique(feeds["tokens"])) <= {0, 1}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"])
def test_random_inputs_have_the_right_type_and_are_the_same_for_one_seed(dtype: str) -> None:
    spec = TensorSpec(name="x", dtype=dtype, shape=["n", 50])
    first, again = (feeds_for([spec], Workload(batch_size=4), None, seed=9)["x"] for _ in range(2))
    assert (first.dtype, first.shape) == (np.dtype(dtype), (4, 50))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first)) > 1


def test_text_cannot_be_drawn() -> None:
    with pytest.raises(BadInput, match="string") as caught:
        feeds_for([TensorSpec(name="x", dtype="string", shape=["n"])], Workload(), None, seed=0)
    assert caught.value.code == "input_not_drawable"
