"""A service that takes uploads and one job, and answers about it as a test says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from urllib.parse import unquote

from enxuto.report import ModelRef
from tests.support.reports import optimize_report
from tests.support.scripted_server import Answer, Asked, as_json

LEAN = b"lean model"
LEAN_SHA256 = hashlib.sha256(LEAN).hexdigest()
REPORT = optimize_report(recommended=ModelRef(sha256=LEAN_SHA256, size_bytes=len(LEAN), id="mdl_lean"))
DELIVERED = {"settings.json": b'{"runtime": "onnxruntime"}', "load_model.py": b"import json"}
NOW = "2026-11-21T10:00:00Z"


def upload(upload_id: str, content: bytes) -> dict[str, object]:
    return {
        "id": upload_id, "name": "lean.onnx", "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content), "state": "ready", "created_at": NOW,
    }  # fmt: skip


def job_file(name: str, content: bytes, role: str = "delivered") -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "role": role, "sha256": digest, "size_bytes": len(content), "media_type": "text/plain"}


def job(state: str, **more: object) -> dict[str, object]:
    progress = {"fraction": 0.5, "eta_s": None, "message": "timing static_int8"}
    return {"id": "job_1", "kind": "optimize", "state": state, "phase": "measure", "progress": progress,
            "created_at": NOW, **more}  # fmt: skip


class Service:
    """Takes uploads and one job, whose states are given."""

    def __init__(
        self,
        *states: dict[str, object],
        report: str = REPORT.model_dump_json(by_alias=True),
        files: Mapping[str, bytes] = DELIVERED,
    ) -> None:
        """``files``: what the job delivers by name; beside it stands what was recorded."""
        self._states = iter(states)
        self._report = report
        self._files = files
        self.body: dict[str, object] = {}

    def __call__(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        match asked.method, path:
            case "POST", "/v1/models" | "/v1/datasets":
                prefix = "mdl" if path.endswith("models") else "dst"
                return as_json(upload(f"{prefix}_{asked.body.decode()}", asked.body), 201)
            case "POST", "/v1/jobs":
                self.body = json.loads(asked.body)
                return as_json(job("queued", queue_position=2), 202)
            case "GET", "/v1/jobs/job_1":
                return as_json(next(self._states))
            case "POST", "/v1/jobs/job_1/cancel":
                return as_json(job("cancelling"), 202)
            case "GET", "/v1/jobs/job_1/report":
                return Answer(200, self._report.encode())
            case "GET", "/v1/jobs/job_1/report.html":
                return Answer(200, b"<!doctype html>")
            case "GET", "/v1/jobs/job_1/files":
                listed = [job_file(name, content) for name, content in self._files.items()]
                return as_json({"items": [*listed, job_file("calls.npz", b"raw", "raw")], "next_cursor": None})
            case "GET", place if place.startswith("/v1/jobs/job_1/files/"):
                return Answer(200, self._files[unquote(place.rpartition("/")[2])])
            case "GET", "/v1/models/mdl_lean":
                return as_json(upload("mdl_lean", LEAN))
            case "GET", "/v1/models/mdl_lean/content":
                return Answer(200, LEAN)
        return as_json({"code": "route_not_found", "detail": path}, 404)
