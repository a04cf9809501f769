"""`make demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.tree import ROOT


def test_the_demo_leaves_a_model_and_its_proof_and_nothing_that_runs(tmp_path: Path) -> None:
    demo = [sys.executable, ROOT / "examples" / "demo.py"]
    shown = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert shown.returncode == 0, shown.stderr
    report = json.loads((tmp_path / "demo-output" / "report.json").read_text(encoding="utf-8"))
    assert f"Verdict: {report['verdict']}. {report['why']}" in shown.stdout
    assert "The network says" in shown.stdout
    assert report["splits"]["confirmation"] >= 900
    assert (tmp_path / "demo-output" / "report.html").is_file()
    folder = shown.stdout.partition("--data-dir ")[2].split()[0]
    assert not Path(folder).exists()
    assert not [line for line in processes() if folder in line]


def processes() -> list[str]:
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(path.read_text(encoding="utf-8", errors="replace").replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return commands
