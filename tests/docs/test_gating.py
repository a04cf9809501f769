"""What `docs/gating-a-pipeline.md` and its GitHub Action promise is run: the check passes and fails as they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from enxuto.graph.transform import apply_recipe
from enxuto.steps import ApplyRecipe
from enxuto.techniques import HalfWeights
from tests.support.markdown import blocks
from tests.support.tree import ROOT

PAPER, ACTION = ROOT / "docs" / "gating-a-pipeline.md", ROOT / "docs" / "gate-model.yml"
EXAMPLE = ROOT / "examples" / "digits"


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a runner does it: bash stops at the first failure; the commands of this environment come first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENXUTO_")}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line]
    return subprocess.run(
        command, cwd=folder, env={**inherited, "PATH": path, **environment}, capture_output=True, text=True, timeout=250
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate that is half as large, beside its original and data."""
    folder = tmp_path_factory.mktemp("pipeline")
    for name in ("evaluation.npz", "preprocessing.json"):
        shutil.copy(EXAMPLE / name, folder / name)
    shutil.copy(EXAMPLE / "digits.onnx", folder / "original.onnx")
    step = ApplyRecipe(model="a" * 64, recipe=[HalfWeights()], calibration=None, preprocessing={}, seed=0)
    applied = apply_recipe(step, {step.model: folder / "original.onnx"}, folder)
    (folder / applied.file).rename(folder / "candidate.onnx")
    return folder


def shell_line() -> str:
    (block,) = [block for block in blocks(PAPER) if block.marker.startswith("run by tests/docs/test_gating.py")]
    return block.text


def action() -> dict[str, Any]:
    return dict(yaml.safe_load(ACTION.read_text(encoding="utf-8")))


def steps() -> list[dict[str, Any]]:
    return list(action()["jobs"]["compare"]["steps"])


def step(name: str) -> dict[str, Any]:
    return next(step for step in steps() if step.get("name") == name)


def test_the_shell_line_passes_a_candidate_that_is_lean_enough(folder: Path) -> None:
    ran = shell(shell_line(), folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "✓ passed" in ran.stdout
    assert (folder / "report" / "report.html").is_file()


def test_the_shell_line_fails_where_nothing_became_leaner(folder: Path) -> None:
    ran = shell(shell_line().replace("candidate.onnx", "original.onnx"), folder)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "✗ not passed" in ran.stdout


def test_the_action_is_one_that_github_reads() -> None:
    found = action()
    assert set(found) == {"name", True, "permissions", "jobs"}, "`on` is read as true by YAML 1.1"
    assert found["permissions"] == {"contents": "read"}
    job = found["jobs"]["compare"]
    assert job["timeout-minutes"] <= 60
    for each in steps():
        assert ("run" in each) != ("uses" in each)
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", each.get("uses", "actions/checkout@v4"))
    used = set(re.findall(r"\$([A-Z]+)", " ".join(each.get("run", "") for each in steps())))
    assert used == set(job["env"])


def test_the_action_installs_an_extra_that_there_is() -> None:
    (extra,) = re.findall(r"^enxuto\[(\w+)\]$", action()["jobs"]["compare"]["env"]["ENXUTO"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extra in project["optional-dependencies"]
    assert step("Install Enxuto")["run"] == 'python -m pip install "$ENXUTO"'


@pytest.mark.parametrize(("candidate", "code"), [("candidate.onnx", 0), ("broken.onnx", 1)])
def test_the_actions_own_steps_run_and_leave_the_report_that_it_keeps(folder: Path, candidate: str, code: int) -> None:
    (folder / "broken.onnx").write_bytes(b"no model")
    files = {"ORIGINAL": "original.onnx", "CANDIDATE": candidate, "DATA": "scans.npz"}
    _scans_as_the_model_takes_them(folder)
    shutil.rmtree(folder / "enxuto-report", ignore_errors=True)
    assert shell(step("Say what the sandbox gives here")["run"], folder, **files).returncode == 0
    # the runner of a test is as busy as can be: what is asked of the speed is not what is tested here
    ran = shell(step("Compare")["run"].replace("--min-speedup 0.9", "--min-speedup 0.2"), folder, **files)
    assert ran.returncode == code, ran.stdout + ran.stderr
    kept = folder / step("Keep the report")["with"]["path"]
    assert kept.is_file() == (code == 0)


def _scans_as_the_model_takes_them(folder: Path) -> None:
    """The action names no preprocessing: its data is ready for the model."""
    import numpy as np

    with np.load(EXAMPLE / "evaluation.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["image"] = np.transpose(arrays["image"].astype(np.float32) / 16, (0, 3, 1, 2))
    np.savez(folder / "scans.npz", **arrays)
