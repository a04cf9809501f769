"""``enxuto up`` starts everything, says in plain words why it cannot, and goes on with what it left."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.support.service import running_service
from tests.support.tiny_models import convnet

COMMAND = [sys.executable, "-c", "import sys; from enxuto.cli import main; sys.exit(main())", "up"]


def refused(*arguments: str) -> str:
    """What it says on standard error when it does not start."""
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_service_is_ready_when_it_says_so_and_keeps_its_data(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        ready = service.http.get("/readyz").json()
        assert {part["name"] for part in ready["parts"]} == {"database", "blobs", "redis"}
        model = service.upload("tiny.onnx", convnet().SerializeToString())
        assert model["state"] == "ready"
        service.until(lambda: service.http.get("/v1/targets").json(), lambda targets: bool(targets["items"]))
        assert f"Another `enxuto up` runs on {service.data_dir}" in refused(
            "--port", "0", "--data-dir", str(service.data_dir)
        )
        assert service.stop() == 0
        service.start()
        assert service.http.get(f"/v1/models/{model['id']}").json()["sha256"] == model["sha256"]


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--port", str(port), "--data-dir", str(tmp_path))
    assert f"Cannot listen on 127.0.0.1 port {port}" in said


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = refused("--port", "0", "--data-dir", str(tmp_path / "file"))
    assert f"The folder {tmp_path / 'file'} cannot be used" in said


def test_off_loopback_a_key_is_needed(tmp_path: Path) -> None:
    said = refused("--port", "0", "--host", "0.0.0.0", "--data-dir", str(tmp_path))  # noqa: S104
    assert "ENXUTO_OPERATOR_KEY" in said
    assert "redis" not in said.lower(), "nothing is started that has to be stopped again"
