"""Starting is quick and honest about what is missing."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer

from enxuto.cli import app as cli

HEAVY = {"numpy", "onnx", "onnxruntime", "scipy", "torch", "jinja2", "httpx", "pydantic", "sqlalchemy", "celery"}


def python(program: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env={**os.environ, **more}
    )


def test_help_brings_nothing_heavy_along() -> None:
    ran = python(
        "import sys\nfrom enxuto.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"import json; print(json.dumps(sorted(set(sys.modules) & set({sorted(HEAVY)!r}))), file=sys.stderr)"
    )
    assert "optimize" in ran.stdout
    assert json.loads(ran.stderr) == []


def test_help_says_what_the_exit_codes_mean() -> None:
    ran = python("from enxuto.cli import main; main(['--help'])")
    assert "2 the command line cannot be read" in " ".join(ran.stdout.split())


WITHOUT_PACKAGES = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ('onnxruntime', 'numpy'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""


@pytest.mark.parametrize(
    "call",
    ["from enxuto.cli import main; main(['optimize', '{}'])", "from enxuto.cli import main; main(['inspect', '{}'])"],
)
def test_without_the_extra_a_command_says_what_to_install(call: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    ran = python(WITHOUT_PACKAGES + call.format(tmp_path / "m.onnx"))
    assert ran.returncode == 3
    assert "packages that are not installed: numpy, onnxruntime" in ran.stderr
    assert "pip install 'enxuto[local]'" in ran.stderr
    assert "--server" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_without_the_extra_the_library_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    ran = python(WITHOUT_PACKAGES + f"import enxuto; enxuto.optimize({str(tmp_path / 'm.onnx')!r})")
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("enxuto.errors.OutOfCapacity")
    assert "pip install 'enxuto[local]'" in last


def test_a_command_whose_package_is_missing_stays_visible_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    entry_point = metadata.EntryPoint("up", "no_such_package.commands:register", cli.COMMANDS)
    app = typer.Typer()
    app.callback()(lambda: None)
    cli._register(app, entry_point)
    with pytest.raises(SystemExit) as leaving:
        app(["up"])
    assert leaving.value.code == 3
    assert "pip install 'enxuto[service]'" in capfd.readouterr().err


def test_on_a_terminal_there_is_a_bar() -> None:
    """A pseudo-terminal as standard error, as a person has it."""
    program = (
        "import time\nfrom enxuto.cli.progress import shown\nfrom enxuto.search.plan import Progress\n"
        "with shown() as tell:\n"
        "    tell(Progress('measure', 'timing [bold]x', 0.5)); time.sleep(0.3)\n"
    )
    master, slave = pty.openpty()
    try:
        ran = subprocess.run(
            [sys.executable, "-c", program], stderr=slave, timeout=60, check=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
        )  # fmt: skip
        os.close(slave)
        shown = b""
        while chunk := _read(master):
            shown += chunk
    finally:
        os.close(master)
    assert ran.returncode == 0
    assert "━" in shown.decode()
    assert "50%" in shown.decode()
    assert "timing [bold]x" in shown.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO where the other end is closed
        return b""
