"""A part that is started by hand and cannot do its work ends, and says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PARTS = {
    "worker": [f"{Path(sys.executable).parent}/celery", "-A", "workers.main", "worker"],
    "sweep": [sys.executable, "-m", "workers.sweep"],
}
API = {"api": [sys.executable, "-m", "app"]}


def ended(part: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "ENXUTO_REDIS_URL": "redis://127.0.0.1:1/0", **settings}
    return subprocess.run((PARTS | API)[part], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("part", PARTS)
def test_without_its_database_it_does_not_stand_there_as_if_it_were_ready(part: str, tmp_path: Path) -> None:
    nowhere = "postgresql+psycopg://enxuto@127.0.0.1:1/enxuto"
    ran = ended(part, ENXUTO_DATABASE_URL=nowhere, ENXUTO_DATA_DIR=str(tmp_path))
    assert ran.returncode != 0
    assert "enxuto: the database does not answer" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("part", PARTS)
def test_a_data_folder_that_cannot_be_used_is_named(part: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = ended(part, ENXUTO_DATA_DIR=str(tmp_path / "file"))
    assert ran.returncode != 0
    assert f"enxuto: the data folder '{tmp_path / 'file'}' cannot be used" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("part", PARTS | API)
def test_a_setting_that_is_wrong_is_named_as_the_variable_that_it_is(part: str) -> None:
    ran = ended(part, ENXUTO_PORT="http")
    assert ran.returncode != 0
    assert "enxuto: ENXUTO_PORT: Input should be a valid integer" in ran.stderr
    assert "Traceback" not in ran.stderr
