"""The short server that is delivered with a serving plan, filled in with what the plan says."""

from __future__ import annotations

from pprint import pformat

from enxuto.axes import counts_samples
from enxuto.deliver.triton import has_batch_axis
from enxuto.report import ServingPlan
from enxuto.signature import ModelInspection, TensorSpec


def serve_py(plan: ServingPlan, inspection: ModelInspection) -> str | None:
    """The text of ``serve.py``; None for a model whose inputs are no arrays of numbers."""
    if any(spec.shape is None or spec.dtype in {"string", "unknown", "bfloat16"} for spec in inspection.inputs):
        return None
    # A number that all samples of a batch share comes with a request: then none is gathered with another.
    fixed_batch = inspection.batch_size if all(counts_samples(spec.shape) for spec in inspection.inputs) else None
    written = {
        "batch_axis": has_batch_axis(inspection) or fixed_batch is not None,
        "fixed_batch": fixed_batch,
        "inputs": [_described(spec) for spec in inspection.inputs],
        "instances": plan.batching.instances,
        "max_batch": plan.batching.max_batch,
        "max_delay_ms": plan.batching.max_delay_ms,
        "outputs": [spec.name for spec in inspection.outputs if spec.dtype != "unknown"],
    }
    return _SERVER.replace("PLAN = {}", f"PLAN = {pformat(written, width=100)}")


def _described(spec: TensorSpec) -> tuple[str, str, list[int | None]]:
    return spec.name, spec.dtype, [axis if isinstance(axis, int) else None for axis in spec.shape or []]


_SERVER = '''\
"""Serves the model over HTTP as the plan says, gathering requests into batches.

    python serve.py model.onnx [--host 127.0.0.1] [--port 8080]

Needs numpy, the runtime that settings.json names, and the files delivered beside this one: settings.json,
load_model.py, batcher.py. A request holds one sample, its arrays without a batch axis:

    curl -H 'Content-Type: application/json' -d '{"inputs": {"x": [1.0, 2.0]}}' http://127.0.0.1:8080/infer

POST /infer takes JSON as above and answers {"outputs": {name: array}}, or takes .npy (models with one input) or .npz
and answers .npz. GET /healthz tells whether it serves. It knows no users: put it behind something that does.
"""

import argparse
import io
import json
import math
import signal
import threading
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from batcher import Closed, DynamicBatcher, Full
from load_model import load

PLAN = {}
MOST_BYTES = 64 * 2**20  # of a request, before and after unpacking
PATIENCE_S = 60  # with a client that sends or reads slowly, and with the model
HERE = Path(__file__).parent


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 takes any that is free")
    arguments = parser.parse_args()
    if not arguments.model.is_file():
        parser.error(f"there is no file '{arguments.model}'")
    models = [load(arguments.model, HERE / "settings.json") for _ in range(PLAN["instances"])]
    for model in models:
        warm_up(model)
    runs = [model.run for model in models]
    with DynamicBatcher(runs, PLAN["max_batch"], PLAN["max_delay_ms"], fixed_batch=PLAN["fixed_batch"]) as batcher:
        server = Server((arguments.host, arguments.port), Handler)
        server.batcher = batcher
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"serves on http://{arguments.host}:{server.server_address[1]}", flush=True)
        server.serve_forever()


def warm_up(model):
    """The first call of every size is slow: memory is planned by shape."""
    sizes = [PLAN["fixed_batch"]] if PLAN["fixed_batch"] else range(PLAN["max_batch"], 0, -1)
    for size in sizes:
        feeds = {}
        for name, dtype, shape in PLAN["inputs"]:
            axes = [axis or 1 for axis in shape]
            feeds[name] = np.zeros([size, *axes[1:]] if PLAN["batch_axis"] else axes, dtype)
        try:
            model.run(feeds)
        except Exception as error:
            print(f"no warm-up with zeros: {error}", flush=True)
            return


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S
    wbufsize = -1  # one packet an answer
    disable_nagle_algorithm = True

    def do_GET(self):
        self.close_connection = True  # a body would be taken for the next request
        if self.path != "/healthz":
            return self.answer_json(404, {"error": f"there is no {self.path}; POST to /infer"})
        return self.answer_json(200, {"status": "ok", "waiting": self.server.batcher.waiting})

    def do_POST(self):
        try:
            if self.path != "/infer":
                self.close_connection = True
                raise Refused(404, f"there is no {self.path}; POST to /infer")
            body = self.body()
            is_json = self.headers.get_content_type() == "application/json"
            feeds = checked(from_json(body) if is_json else from_numpy(body))
            found = self.server.batcher.submit(feeds).result(PATIENCE_S)
        except Refused as refused:
            return self.answer_json(refused.status, {"error": str(refused)})
        except (Full, Closed) as error:
            return self.answer_json(503, {"error": str(error)}, {"Retry-After": "1"})
        except TimeoutError:
            return self.answer_json(504, {"error": f"no answer within {PATIENCE_S} s"})
        except Exception as error:  # whatever the runtime raises
            return self.answer_json(500, {"error": f"the model failed: {error}"})
        outputs = {name: array[0] if PLAN["batch_axis"] else array for name, array in zip(PLAN["outputs"], found)}
        if is_json:
            return self.answer_json(200, {"outputs": {name: jsonable(array) for name, array in outputs.items()}})
        stream = io.BytesIO()
        np.savez(stream, **outputs)
        return self.answer(200, stream.getvalue(), "application/x-npz", {})

    def body(self):
        """Reads it whole, where its length is known and allowed; the connection ends where it is left unread."""
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if "Transfer-Encoding" in self.headers:
            length = -1
        if not 0 <= length <= MOST_BYTES:
            self.close_connection = True
            if length < 0:
                raise Refused(411, "a request needs a Content-Length, and no Transfer-Encoding")
            raise Refused(413, f"a request may have {MOST_BYTES} bytes at most")
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            raise Refused(400, "the body is shorter than its Content-Length")
        return body

    def answer_json(self, status, document, headers=()):
        self.answer(status, json.dumps(document).encode(), "application/json", dict(headers))

    def answer(self, status, body, kind, headers):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """A line a request would cost more than some models."""


def from_json(body):
    def refuse(word):
        raise ValueError(f"{word} is no number in JSON")

    try:
        document = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"this is no JSON: {error}") from error
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, dict):
        raise Refused(422, 'this is not of the form {"inputs": {name: array}}')
    dtypes = {name: dtype for name, dtype, _ in PLAN["inputs"]}
    try:
        return {name: exact(value, dtypes.get(name, "float64")) for name, value in inputs.items()}
    except (ValueError, TypeError, OverflowError) as error:
        raise Refused(422, f"this is no array of numbers: {error}") from error


def exact(value, dtype):
    """Numbers as this type, where none of them would change but by rounding."""
    plain = np.asarray(value)
    if plain.dtype.kind not in "biuf":
        raise ValueError(f"it holds {plain.dtype}")
    with np.errstate(over="ignore"):
        array = plain.astype(dtype)
    fits = np.isfinite(array).all() if array.dtype.kind == "f" else np.array_equal(array, plain)
    if not fits:
        raise ValueError(f"not all of its numbers are {dtype}")
    return array


def from_numpy(body):
    """Never unpickles, and looks at how large everything becomes before it is read."""
    try:
        if body[:6] == b"\\x93NUMPY":
            return {PLAN["inputs"][0][0]: read_array(io.BytesIO(body), MOST_BYTES)}
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > MOST_BYTES:
                raise Refused(413, f"unpacked, a request may have {MOST_BYTES} bytes at most")
            return {
                member.filename.removesuffix(".npy"): read_array(io.BytesIO(archive.read(member)), member.file_size)
                for member in members
            }
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Refused(400, f"this is neither JSON nor .npy nor .npz: {error}") from error


def read_array(stream, most_bytes):
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of .npy")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > most_bytes:
        raise ValueError("an array of objects, or larger than its file")
    stream.seek(0)
    return np.load(stream, allow_pickle=False)


def checked(arrays):
    """As a batch of one, each array of the model's own type and shape."""
    names = [name for name, _, _ in PLAN["inputs"]]
    if sorted(arrays) != sorted(names):
        raise Refused(422, f"the inputs are {', '.join(names)}; the request has {', '.join(arrays) or 'none'}")
    feeds = {}
    for name, dtype, shape in PLAN["inputs"]:
        array, wanted = arrays[name], shape[1:] if PLAN["batch_axis"] else shape
        if array.dtype != np.dtype(dtype):
            raise Refused(422, f"{name} takes {dtype}, and the request has {array.dtype}")
        alike = len(array.shape) == len(wanted) and all(w in (None, a) for w, a in zip(wanted, array.shape))
        if not alike or 0 in array.shape:
            written = ["any" if axis is None else axis for axis in wanted]
            raise Refused(422, f"{name} takes one sample of shape {written}, and the request has {list(array.shape)}")
        feeds[name] = np.asarray(array[np.newaxis] if PLAN["batch_axis"] else array, order="C")
    return feeds


def jsonable(array):
    """JSON has no word for what is not finite: null stands for it."""
    array = np.asarray(array)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    return np.where(np.isfinite(array), array.astype(object), None).tolist()


if __name__ == "__main__":
    main()
'''
