"""A model with its weights in another file: sent, made leaner, taken home and run, by the whole service."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from enxuto.client import Client
from enxuto.recipe import Recipe
from enxuto.techniques.half_weights import HalfWeights
from enxuto.workload import Workload
from tests.support.service import running_service
from tests.support.tiny_models import mlp


def test_a_model_with_its_weights_in_another_file_is_optimized_over_http(tmp_path: Path) -> None:
    model = tmp_path / "given" / "m.onnx"
    (model.parent / "w").mkdir(parents=True)
    onnx.save(mlp(), model, save_as_external_data=True, location="w/weights.bin", size_threshold=0)
    recipe: Recipe = [HalfWeights()]
    with running_service(tmp_path / "service") as service, Client(service.url) as client:
        seen = client.upload_model(model)
        assert seen.state == "ready"
        assert [file.path for file in seen.files] == ["w/weights.bin"]
        report = client.optimize(
            seen.id, recipe=recipe, workload=Workload(runtimes=["onnxruntime"]), out=tmp_path / "out"
        )
        made = next(one.model for one in report.candidates if one.recipe and one.model and one.model.id)
        client.download(made.id or "", tmp_path / "home" / "lean.onnx")
        client.download(seen.id, tmp_path / "home" / "original.onnx")
        alone = service.upload("m.onnx", model.read_bytes())
        assert alone["finding"]["code"] == "external_data"
        assert "POST /v1/models as JSON" in alone["finding"]["hint"]
    x = np.random.default_rng(0).standard_normal((3, 16), dtype=np.float32)
    expected = answers(model, x)
    np.testing.assert_array_equal(answers(tmp_path / "home" / "original.onnx", x), expected)
    np.testing.assert_allclose(answers(tmp_path / "home" / "lean.onnx", x), expected, rtol=0.01, atol=0.01)
    assert answers(tmp_path / "out" / "optimized.onnx", x).shape == expected.shape


def answers(path: Path, x: np.ndarray) -> np.ndarray:
    found = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    return np.asarray(found)
