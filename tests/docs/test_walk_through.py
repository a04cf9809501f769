"""The README's walk-through, run as it stands against a service of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import onnx
import pytest

from tests.support.markdown import Block, blocks
from tests.support.service import running_service
from tests.support.tree import ROOT


def walk_through() -> Block:
    found = [block for block in blocks(ROOT / "README.md") if block.marker.startswith("walk-through")]
    assert len(found) == 1, "one block of the README is marked as the walk-through"
    return found[0]


@pytest.mark.skipif(not shutil.which("curl"), reason="the walk-through is told in curl, which is not installed here")
def test_the_walk_through_ends_with_a_verdict_a_report_and_a_model(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "examples").symlink_to(ROOT / "examples")
    with running_service(tmp_path) as service:
        script = walk_through().text.replace("http://127.0.0.1:8000", service.url)
        assert service.url in script
        command = ["bash", "-euo", "pipefail", "-c", script]
        walked = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=280)
    assert walked.returncode == 0, walked.stderr
    assert walked.stdout.splitlines()[-1] in {"improved", "no_gain", "inconclusive"}
    assert (here / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    onnx.checker.check_model(here / "lean.onnx")
