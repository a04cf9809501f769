"""The delivered server runs by itself, beside the delivered files, and is used and misused over HTTP."""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto

from enxuto.deliver import files_of
from enxuto.scenario import Batching
from enxuto.signature import ModelInspection, TensorSpec
from tests.support import reports, tiny_models


@dataclass
class Server:
    port: int
    model: Path
    process: subprocess.Popen[str]

    def request(
        self,
        body: bytes | None,
        kind: str = "application/json",
        method: str = "POST",
        path: str = "/infer",
        **headers: str,
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": kind, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, document: object) -> tuple[int, Any]:
        status, body = self.request(json.dumps(document).encode())
        return status, json.loads(body)

    def expected(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = ort.InferenceSession(self.model).run(None, feeds)
        return found


def spec(name: str, shape: list[int | str | None], dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def started(folder: Path, model: ModelProto, inspection: ModelInspection, batching: Batching) -> Server:
    plan = reports.serving_plan().model_copy(update={"batching": batching})
    report = reports.benchmark_report(plan=plan, inspection=inspection)
    for name, text in files_of(report).items():
        (folder / name).write_text(text, encoding="utf-8")
    path = tiny_models.save(model, folder / "model.onnx")
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _WITHOUT_ENXUTO, str(folder / "serve.py"), str(path), "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()
    port = re.search(r":(\d+)$", line.strip())
    if port is None:
        process.kill()
        raise AssertionError(line + process.stdout.read())
    return Server(int(port[1]), path, process)


_WITHOUT_ENXUTO = """
import runpy, sys
sys.modules["enxuto"] = None  # importing it fails
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    inspection = reports.inspection().model_copy(
        update={"inputs": [spec("x", ["batch", 16])], "outputs": [spec("y", ["batch", 4])]}
    )
    folder = tmp_path_factory.mktemp("served")
    batching = Batching(max_batch=4, max_delay_ms=2.0, instances=2)
    found = started(folder, tiny_models.mlp(), inspection, batching)
    yield found
    found.process.send_signal(signal.SIGTERM)
    assert found.process.wait(30) == 0
    assert found.process.stdout
    found.process.stdout.close()


def sample(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(16).astype(np.float32)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def test_json_is_answered_with_json(server: Server) -> None:
    x = sample(0)
    status, found = server.json({"inputs": {"x": x.tolist()}})
    assert status == 200
    np.testing.assert_allclose(found["outputs"]["y"], server.expected({"x": x[None]})[0][0], rtol=1e-5)


@pytest.mark.parametrize("packed", [npy, lambda array: npz(x=array)])
def test_arrays_are_answered_with_arrays(server: Server, packed: Any) -> None:
    x = sample(1)
    status, body = server.request(packed(x), "application/octet-stream")
    assert status == 200
    with np.load(io.BytesIO(body), allow_pickle=False) as found:
        np.testing.assert_allclose(found["y"], server.expected({"x": x[None]})[0][0], rtol=1e-5)


def test_requests_at_the_same_time_each_get_their_own_answer(server: Server) -> None:
    def ask(seed: int) -> float:
        x = sample(seed)
        status, body = server.request(npy(x), "application/x-npy")
        assert status == 200
        with np.load(io.BytesIO(body), allow_pickle=False) as found:
            return float(np.abs(found["y"] - server.expected({"x": x[None]})[0][0]).max())

    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(ask, range(100))) < 1e-4


def test_several_requests_go_over_one_connection(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for seed in range(3):
        connection.request("POST", "/infer", npy(sample(seed)), {"Content-Type": "application/x-npy"})
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
    connection.close()


def test_it_tells_that_it_serves(server: Server) -> None:
    status, body = server.request(None, method="GET", path="/healthz")
    assert (status, json.loads(body)["status"]) == (200, "ok")


def objects() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}], object), allow_pickle=True)
    return stream.getvalue()


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(70 * 2**20))
    return stream.getvalue()


HUGE = npy(np.zeros(16, np.float32)).replace(b"(16,)", b"(9999999999999,)")[:160]


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"{", "application/json", 400, "no JSON"),
        (b"[" * 100_000, "application/json", 400, "no JSON"),
        (b'{"x": 1}', "application/json", 422, "not of the form"),
        (b"[1]", "application/json", 422, "not of the form"),
        (b'{"inputs": {"x": [NaN]}}', "application/json", 400, "NaN"),
        (b'{"inputs": {"x": ["a"]}}', "application/json", 422, "no array of numbers"),
        (b'{"inputs": {"x": [[1], [1, 2]]}}', "application/json", 422, "no array of numbers"),
        (b'{"inputs": {"x": [1e300]}}', "application/json", 422, "float32"),
        (b'{"inputs": {"x": [1, 2]}}', "application/json", 422, "shape [16]"),
        (b'{"inputs": {"z": [1]}}', "application/json", 422, "inputs are x"),
        (b"", "application/json", 400, "no JSON"),
        (b"nothing known", "application/octet-stream", 400, "neither"),
        (npy(np.zeros(16)), "application/x-npy", 422, "float64"),
        (npy(np.zeros((1, 16), np.float32)), "application/x-npy", 422, "shape [16]"),
        (npz(x=np.zeros(16, np.float32), z=np.zeros(1)), "application/x-npz", 422, "inputs are x"),
        (npy(sample(0))[:-8], "application/x-npy", 400, "neither"),
        (npz(x=sample(0))[:-30], "application/x-npz", 400, "neither"),
        (objects(), "application/x-npy", 400, "objects"),
        (HUGE, "application/x-npy", 400, "larger than its file"),
        (bomb(), "application/x-npz", 413, "unpacked"),
    ],
)
def test_what_it_cannot_use_is_refused_with_the_reason(
    server: Server, body: bytes, kind: str, status: int, said: str
) -> None:
    found, answer = server.request(body, kind)
    assert (found, said in json.loads(answer)["error"]) == (status, True), answer
    assert server.json({"inputs": {"x": sample(0).tolist()}})[0] == 200


def test_a_body_that_is_too_long_or_of_unknown_length_is_not_read(server: Server) -> None:
    assert server.request(None, **{"Content-Length": str(2**31)})[0] == 413
    assert server.request(None, **{"Transfer-Encoding": "chunked"})[0] == 411


@pytest.mark.parametrize(("method", "path"), [("POST", "/elsewhere"), ("GET", "/infer")])
def test_other_paths_are_not_found(server: Server, method: str, path: str) -> None:
    assert server.request(None, method=method, path=path)[0] == 404


def test_a_model_that_is_not_there_is_told_in_a_line(server: Server) -> None:
    script = server.model.with_name("serve.py")
    arguments = [sys.executable, "-I", "-c", _WITHOUT_ENXUTO, str(script), "missing.onnx"]
    told = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (told.returncode, told.stderr.splitlines()[-1]) == (2, "serve.py: error: there is no file 'missing.onnx'")


def test_a_model_of_one_batch_size_is_served_too(tmp_path: Path) -> None:
    inspection = reports.inspection().model_copy(
        update={"inputs": [spec("image", [4, 3, 8, 8])], "outputs": [spec("scores", [4, 10])], "batch_size": 4}
    )
    found = started(tmp_path, tiny_models.fixed_convnet(batch=4), inspection, Batching(max_batch=4))
    try:
        image = np.random.default_rng(0).standard_normal((3, 8, 8)).astype(np.float32)
        status, answer = found.json({"inputs": {"image": image.tolist()}})
        assert status == 200
        expected = found.expected({"image": np.stack([image] * 4)})[0][0]
        np.testing.assert_allclose(answer["outputs"]["scores"], expected, rtol=1e-4)
    finally:
        found.process.terminate()
        found.process.communicate(timeout=30)


@pytest.mark.parametrize("batch", ["batch", 4])
def test_a_number_for_all_samples_comes_with_a_request_that_is_run_alone(tmp_path: Path, batch: str | int) -> None:
    inspection = reports.inspection().model_copy(
        update={
            "inputs": [spec("scale", []), spec("x", [batch, 64])],
            "outputs": [spec("y", [batch, 10])],
            "batch_size": 4 if batch == 4 else None,
        }
    )
    found = started(tmp_path, tiny_models.scaled_mlp(batch=batch), inspection, Batching(max_batch=1))
    try:
        x = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
        for scale in (0.5, 2.0):
            status, answer = found.json({"inputs": {"scale": scale, "x": x.tolist()}})
            assert status == 200, answer
            expected = found.expected({"scale": np.array(scale, np.float32), "x": x})[0]
            np.testing.assert_allclose(answer["outputs"]["y"], expected, rtol=1e-4, atol=1e-4)
        status, answer = found.json({"inputs": {"scale": [0.5], "x": x.tolist()}})
        assert (status, "scale takes one sample of shape []" in answer["error"]) == (422, True)
    finally:
        found.process.terminate()
        found.process.communicate(timeout=30)
