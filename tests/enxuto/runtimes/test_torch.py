"""A lifted module runs and is timed beside the same network in ONNX Runtime: `make test-torch`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.errors import BadInput
from enxuto.runtimes import LoadedModel, load_model
from enxuto.signature import TensorSpec
from tests.support import tiny_models

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="PyTorch is in the extra [torch]")
WIDTH = 256


def pair(folder: Path, threads: int = 1) -> tuple[LoadedModel, LoadedModel]:
    """The same network twice: a module, and ONNX text."""
    from enxuto.runtimes.torch import TorchModel

    random = np.random.default_rng(0)
    first, second = (random.standard_normal((2, WIDTH, WIDTH)) / 16).astype(np.float32)
    module = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, WIDTH, bias=False),
        torch.nn.ReLU(),
        torch.nn.Dropout(),
        torch.nn.Linear(WIDTH, WIDTH, bias=False),
    )
    module.load_state_dict({"0.weight": torch.from_numpy(first.T), "3.weight": torch.from_numpy(second.T)})
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        network (float[batch, {WIDTH}] x) => (float[batch, {WIDTH}] y) {{
            h = MatMul(x, first)
            a = Relu(h)
            y = MatMul(a, second)
        }}"""
    model = parse_model(text)
    model.graph.initializer.extend([numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")])
    same = load_model(tiny_models.save(model, folder / "m.onnx"), threads=threads)
    return TorchModel(module, same.inputs, same.outputs, threads), same


@pytest.mark.parametrize("threads", [1, 2])
def test_it_computes_what_onnxruntime_computes(tmp_path: Path, threads: int) -> None:
    model, same = pair(tmp_path, threads)
    feeds = {"x": np.random.default_rng(1).standard_normal((8, WIDTH)).astype(np.float32)}
    np.testing.assert_allclose(model.run(feeds)[0], same.run(feeds)[0], rtol=1e-4, atol=1e-5)
    assert torch.get_num_threads() == threads
    assert model.outputs == [TensorSpec(name="y", dtype="float32", shape=["batch", WIDTH])]


@pytest.mark.parametrize(
    ("feeds", "says"),
    [({}, "'x' is missing"), ({"x": np.zeros((2, 3), np.float32)}, "256"), ({"x": np.zeros((1, WIDTH), int)}, "dtype")],
)
def test_inputs_that_it_does_not_run_on_are_a_finding(tmp_path: Path, feeds: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        pair(tmp_path)[0].run(feeds)
    assert caught.value.code == "model_fails_to_run"


def test_pytorchs_own_clockwork_times_either_as_ours_does(tmp_path: Path) -> None:
    from enxuto.measure.blocks import time_block
    from enxuto.measure.torch_timing import time_by_torch

    feeds = {"x": np.random.default_rng(1).standard_normal((64, WIDTH)).astype(np.float32)}
    for model in pair(tmp_path):

        def call(model: LoadedModel = model) -> object:
            return model.run(feeds)

        by_torch = time_by_torch(call, least_s=0.2)
        ours_ms = time_block(call, 200).median_ms
        assert by_torch.calls >= 20
        assert ours_ms / 3 < by_torch.median_ms < ours_ms * 3
