"""`enxuto doctor` tells what was tried here, and its exit code says whether the box is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from enxuto.cli.doctor import doctor, find_redis
from enxuto.execution.examine import examine_sandbox

APP = typer.Typer()
APP.command()(doctor)


def test_a_whole_box_stops_every_attempt_and_exits_with_0() -> None:
    ran = CliRunner().invoke(APP, ["--json"])
    told = json.loads(ran.stdout)
    assert all(told["sandbox"]["stopped"].values()), told
    assert told["sandbox"]["missing"] == []
    assert told["runtimes"]["onnxruntime"]
    assert told["runtimes"]["openvino"]
    assert ran.exit_code == 0


def test_people_read_a_table() -> None:
    ran = CliRunner().invoke(APP, [])
    assert "Landlock" in ran.stdout
    assert "The sandbox is whole." in ran.stdout


WITHOUT_SECCOMP = """
import errno
from enxuto.cli.doctor import doctor
from enxuto.execution import privileges, seccomp
from enxuto.execution.kernel import processor
import typer
privileges.gain_none()
refused = seccomp.answer({"seccomp": (317, 277)}, processor(), errno.ENOSYS)
seccomp.install(processor(), [seccomp.LOAD_NUMBER, *refused, seccomp.ALLOW])
app = typer.Typer()
app.command()(doctor)
app(["--json"])
"""


def test_a_box_with_a_hole_is_told_of_and_exits_with_1() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_SECCOMP], capture_output=True, text=True, check=False)
    told = json.loads(ran.stdout)["sandbox"]
    assert ran.returncode == 1
    assert told["missing"] == ["seccomp"]
    assert not told["stopped"]["start a process"]
    assert told["stopped"]["read a file outside"]


def test_the_examination_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert examine_sandbox().whole
    assert list(tmp_path.iterdir()) == []


def test_a_redis_that_is_named_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENXUTO_REDIS_URL", "redis://elsewhere")
    assert find_redis() == "as ENXUTO_REDIS_URL says"
    monkeypatch.delenv("ENXUTO_REDIS_URL")
    assert find_redis() != "as ENXUTO_REDIS_URL says"


def test_what_to_install_is_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enxuto.cli.doctor.find_runtimes", lambda: {"onnxruntime": None})
    monkeypatch.setenv("COLUMNS", "200")
    assert "pip install 'enxuto[local]'" in CliRunner().invoke(APP, []).stdout
