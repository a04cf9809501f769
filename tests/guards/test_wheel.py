"""What is installed is what is here: a wheel holds every file of the three packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.tree import PACKAGES, ROOT, tracked_files


def test_a_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"
    kept = [path.relative_to(ROOT) for path in tracked_files()]
    packaged = {path.as_posix() for path in kept if path.parts[0] in PACKAGES}
    for path in kept:
        if path.as_posix() in packaged or len(path.parts) == 1:
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, source / path)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, source],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("enxuto-*.whl"))) as wheel:
        missing = packaged - set(wheel.namelist())
    assert not missing, "add these to [tool.setuptools.package-data] in pyproject.toml"
