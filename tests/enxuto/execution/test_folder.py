"""Nothing is left of a step's folder, whatever the step did in there and however its owner ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enxuto.execution.folder import remove, remove_abandoned, step_folder

LONG_AGO = (0, 0)


def test_a_folder_is_gone_after_its_step_even_when_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with step_folder(tmp_path) as folder:
            (folder / "out" / "model").write_bytes(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_folders_deeper_than_any_path_are_removed(tmp_path: Path) -> None:
    home = Path.cwd()
    (tmp_path / "deep").mkdir()
    try:
        os.chdir(tmp_path / "deep")
        for _ in range(3000):
            Path("folder").mkdir()
            Path("file").touch()
            os.chdir("folder")
    finally:
        os.chdir(home)
    remove(tmp_path / "deep")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_nobody_may_enter_are_removed_as_anybody(tmp_path: Path) -> None:
    (tmp_path / "shut" / "inner" / "innermost").mkdir(parents=True)
    (tmp_path / "shut" / "inner" / "innermost" / "file").touch()
    for folder in ("shut/inner/innermost", "shut/inner"):
        (tmp_path / folder).chmod(0)
    lines = "import sys; from pathlib import Path; from enxuto.execution.folder import remove; "
    if os.getuid() == 0:  # root enters everywhere: give that up first
        lines += "from enxuto.execution import kernel, privileges; privileges.gain_none(); "
        lines += "privileges.drop_capabilities(kernel.processor()); "
    subprocess.run([sys.executable, "-c", f"{lines}remove(Path(sys.argv[1]))", str(tmp_path / "shut")], check=True)
    assert not (tmp_path / "shut").exists()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "gone" / "inner").mkdir(parents=True)
    for at in ("gone/link", "gone/inner/link"):
        (tmp_path / at).symlink_to(tmp_path / "kept")
    remove(tmp_path / "gone")
    assert (tmp_path / "kept" / "file").exists()


def test_the_folder_of_a_killed_owner_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    lines = """
import os, signal, sys
from pathlib import Path
from enxuto.execution.folder import step_folder
with step_folder(Path(sys.argv[1])) as folder:
    (folder / "out" / "left").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", lines, str(tmp_path)], check=False)
    (abandoned,) = tmp_path.iterdir()
    with step_folder(tmp_path) as living:
        for folder in (abandoned, living):
            os.utime(folder, LONG_AGO)
        remove_abandoned(tmp_path)
        assert list(tmp_path.iterdir()) == [living]


def test_a_folder_that_was_just_made_is_left_to_its_owner(tmp_path: Path) -> None:
    (tmp_path / "step-new").mkdir()
    remove_abandoned(tmp_path)
    assert (tmp_path / "step-new").exists()
