"""What may not be in the repository: where somebody's machine keeps things, and where packages came from."""

from __future__ import annotations

import re

import pytest

from tests.support.tree import ROOT, tracked_files

FORBIDDEN = {
    "a path of one machine": re.compile(
        rb"/(?:root|home|Users)/[a-z_][a-z0-9_-]*/|/work/(?:main|shared)|/opt/(?:wheels|pypi)"
    ),
    "a package index": re.compile(
        rb"(?:--(?:extra-)?index-url|--find-links|files\.pythonhosted\.org|pypi\.org/simple)"
    ),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
THIS_FILE = "tests/guards/test_tracked_files.py"
LARGEST_BYTES = 6_000_000


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = [
        f"{name}: {match.group().decode(errors='replace')}"
        for path in tracked_files()
        if (name := path.relative_to(ROOT).as_posix()) != THIS_FILE
        for match in [FORBIDDEN[what].search(path.read_bytes())]
        if match
    ]
    assert not found, f"{what}: {found}"


def test_no_file_is_large() -> None:
    large = {path.name: path.stat().st_size for path in tracked_files() if path.stat().st_size > LARGEST_BYTES}
    assert not large, "the repository is for sources; the demo's network is the largest thing in it"
