"""One pass over samples: what it finds, how much it holds at once, and the file that it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto

from enxuto.errors import BadInput, NotApplicable
from enxuto.quantization import calibrate
from enxuto.quantization.calibrate import calibrate_model, observe
from enxuto.quantization.random_samples import RandomSamples
from enxuto.quantization.statistics import Statistics
from enxuto.runtimes import load_model
from enxuto.signature import TensorSpec
from enxuto.steps import CalibrateModel, Samples
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.batches import ArrayBatches, context, outputs_of, samples_for

MODEL, DATA = "a" * 64, "b" * 64


class Counting(ArrayBatches):
    """Remembers how many samples were asked for, at once and in all."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__(arrays)
        self.sizes: list[int] = []

    def __call__(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        for feeds in super().__call__(batch_size):
            self.sizes.append(len(next(iter(feeds.values()))))
            yield feeds


def calibrated(proto: ModelProto, folder: Path, arrays: dict[str, np.ndarray] | None) -> Statistics:
    files = {MODEL: tiny_models.save(proto, folder / "model.onnx")}
    samples = None
    if arrays is not None:
        (name, array) = next(iter(arrays.items()))
        files[DATA] = folder / "data.npy"
        np.save(files[DATA], array)
        samples = Samples(arrays={name: DATA}, labels=None, count=len(array), start=0, stop=len(array), seed=0)
    step = CalibrateModel(model=MODEL, samples=samples, preprocessing={}, workload=Workload(), seed=0)
    done = calibrate_model(step, files, folder)
    found = Statistics.read(folder / done.file)
    assert (done.tensors, done.samples, done.random) == (len(found.tensors), found.samples, samples is None)
    return found


def test_what_a_pass_finds_is_what_the_tensors_hold(tmp_path: Path) -> None:
    proto = tiny_models.convnet(channels=16)
    feeds = samples_for(proto, 70)
    found = calibrated(proto, tmp_path, feeds)
    model = ir.from_proto(proto)
    values = {output.name: output for node in model.graph for output in node.outputs}
    inner = [name for name in found.tensors if name in values]
    for name in inner:
        values[name].type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.outputs.extend(values[name] for name in inner if not values[name].is_graph_output())
    expected = dict(zip([output.name for output in model.graph.outputs], outputs_of(model, feeds), strict=True)) | feeds
    assert inner
    for name, seen in found.tensors.items():
        array = expected[name]
        others = tuple(axis for axis in range(array.ndim) if axis != seen.channel_axis % array.ndim)
        assert seen.range is not None
        assert seen.channels is not None
        np.testing.assert_allclose([seen.range.low, seen.range.high], [array.min(), array.max()], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(seen.channels.mean, array.mean(axis=others), rtol=1e-4, atol=1e-5)
        assert seen.histogram.counts.sum() == array.size


def test_never_more_than_a_batch_is_held(tmp_path: Path) -> None:
    model = ir.from_proto(tiny_models.mlp(features=16, hidden=1 << 18))
    batches = Counting({"x": np.zeros((300, 16), dtype=np.float32)})
    found = observe(model, {"h": -1}, batches, context(tmp_path))
    assert set(found.tensors) == {"h"}
    assert max(batches.sizes) <= 64


def test_a_pass_ends_when_there_is_enough(tmp_path: Path) -> None:
    batches = Counting({"x": np.zeros((3000, 16), dtype=np.float32)})
    found = observe(ir.from_proto(tiny_models.mlp(features=16)), {"h": -1}, batches, context(tmp_path))
    assert found.samples == calibrate.MOST_SAMPLES


def test_tensors_that_do_not_fit_together_are_fetched_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proto = tiny_models.convnet(channels=16)
    feeds = samples_for(proto, 5)
    together = calibrated(proto, tmp_path, feeds)
    fetched: list[int] = []
    run = calibrate.OnnxRuntimeModel.run

    def counted(self: calibrate.OnnxRuntimeModel, feeds: dict, options: None = None, names: list | None = None) -> list:
        fetched.append(len(names or []))
        return run(self, feeds, options, names)

    monkeypatch.setattr(calibrate, "_MEMORY_BYTES", 1)
    monkeypatch.setattr(calibrate.OnnxRuntimeModel, "run", counted)
    apart = calibrated(proto, tmp_path, feeds)
    assert set(fetched[1:]) == {1}, "after the first run, which asks for shapes only"
    for name, seen in apart.tensors.items():
        assert seen.range is not None
        expected = together.tensors[name].range
        assert expected is not None
        np.testing.assert_allclose([seen.range.low, seen.range.high], [expected.low, expected.high], rtol=1e-5)


def test_a_fixed_batch_axis_is_filled_up(tmp_path: Path) -> None:
    model = ir.from_proto(tiny_models.fixed_convnet(batch=4))
    image = np.random.default_rng(0).standard_normal((6, 3, 8, 8)).astype(np.float32)
    found = observe(model, {"image": 1}, ArrayBatches({"image": image}), context(tmp_path))
    extremes = found.tensors["image"].range
    assert extremes is not None
    assert (extremes.low, extremes.high) == (image.min(), image.max())
    assert found.samples == 6


def test_without_data_inputs_are_drawn_by_chance_and_said_to_be(tmp_path: Path) -> None:
    found = calibrated(tiny_models.convnet(), tmp_path, None)
    assert found.random
    assert found.samples == 32
    image = next(seen for seen in found.tensors.values() if seen.channel_axis == 1)
    assert image.range is not None
    assert image.range.low < -2
    assert image.range.high > 2


def test_without_data_the_batch_need_not_be_the_first_axis_of_every_input(tmp_path: Path) -> None:
    inputs = [
        TensorSpec(name="x", dtype="float32", shape=["batch", 3]),
        TensorSpec(name="state", dtype="float32", shape=[2, "batch", 5]),
    ]
    sizes = {(feeds["x"].shape, feeds["state"].shape) for feeds in RandomSamples(inputs, Workload(), {}, seed=0)(5)}
    assert sizes == {((5, 3), (2, 5, 5)), ((2, 3), (2, 2, 5))}


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    proto = tiny_models.convnet(channels=4)
    found = calibrated(proto, tmp_path, samples_for(proto, 9))
    found.write(tmp_path / "again.npz")
    again = Statistics.read(tmp_path / "again.npz")
    assert (again.samples, again.random, set(again.tensors)) == (found.samples, found.random, set(found.tensors))
    for name, seen in found.tensors.items():
        other = again.tensors[name]
        assert (other.extremes, other.not_finite, other.channel_axis) == (
            seen.extremes, seen.not_finite, seen.channel_axis,
        )  # fmt: skip
        np.testing.assert_array_equal(other.histogram.counts, seen.histogram.counts)
        assert other.channels is not None
        assert seen.channels is not None
        np.testing.assert_array_equal(other.channels.mean, seen.channels.mean)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "statistics.npz").read_bytes(), "and nothing else is"


def damaged(path: Path, how: str) -> None:
    arrays = dict(np.load(path)) if how != "bytes" else {}
    match how:
        case "bytes":
            path.write_bytes(b"PK not a zip")
            return
        case "missing":
            del arrays["counts"]
        case "version":
            arrays["version"] = np.array(99)
        case "names":
            arrays["names"] = arrays["names"][:-1]
        case "channels":
            arrays["channel_mean"] = arrays["channel_mean"][:-1]
    with path.open("wb") as file:
        np.savez(file, **arrays)


@pytest.mark.parametrize("how", ["bytes", "missing", "version", "names", "channels"])
def test_a_damaged_file_is_refused(how: str, tmp_path: Path) -> None:
    proto = tiny_models.convnet()
    calibrated(proto, tmp_path, samples_for(proto, 3))
    damaged(tmp_path / "statistics.npz", how)
    with pytest.raises(BadInput) as refusal:
        Statistics.read(tmp_path / "statistics.npz")
    assert refusal.value.code == "statistics_unreadable"


def test_no_samples_are_refused(tmp_path: Path) -> None:
    empty = ArrayBatches({"x": np.zeros((0, 16), dtype=np.float32)})
    with pytest.raises(NotApplicable, match="no calibration samples"):
        observe(ir.from_proto(tiny_models.mlp(features=16)), {"h": -1}, empty, context(tmp_path))


def test_the_original_still_loads_afterwards(tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    calibrated(proto, tmp_path, samples_for(proto, 3))
    assert load_model(tmp_path / "model.onnx").inputs
