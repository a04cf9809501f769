"""A reference implementation where it is installed: asked in a process of its own, it answers in arrays."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_SCRIPTS = Path(__file__).parent / "theirs"
"""Alone in their folder: what lies beside a script can be imported by it, under names that packages have."""
_MOST_S = 1800


class NotThere(Exception):
    """Why a reference cannot be asked, and what would help."""


@dataclass(frozen=True)
class Reference:
    """Somebody else's code for a method, and the script of ours that calls it."""

    project: str
    """On GitHub."""
    script: str
    packages: tuple[str, ...]
    """In the environment, as pip calls them; the first is the reference, where it is a package."""
    commit: str | None = None
    """Of a project that is no package: what it was looked at."""

    @property
    def folder(self) -> str:
        """Of its clone."""
        return self.project.split("/")[1]


@dataclass(frozen=True)
class Place:
    """Where references are."""

    python: Path
    """Of an environment with ``requirements.txt``."""
    sources: Path
    """A folder with clones of what is no package."""

    def version(self, reference: Reference) -> str:
        """Raises NotThere."""
        self._require_packages(reference)
        if reference.commit is None:
            return self._pip_version(reference.packages[0])
        clone = self.sources / reference.folder
        if not (clone / ".git").exists():
            url = f"https://github.com/{reference.project}"
            raise NotThere(f"no clone: git clone {url} {clone} && git -C {clone} checkout {reference.commit}")
        found = _said(["git", "-C", str(clone), "rev-parse", "--short=7", "HEAD"])
        return found if found == reference.commit else f"{found}, looked at {reference.commit}"

    def ask(
        self, reference: Reference, given: Mapping[str, np.ndarray], model: bytes | None = None
    ) -> dict[str, np.ndarray]:
        """What its script finds for these arrays and this ONNX file."""
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            np.savez(folder / "given.npz", allow_pickle=False, **given)
            if model is not None:
                (folder / "model.onnx").write_bytes(model)
            script = _SCRIPTS / f"by_{reference.script}.py"
            command = [str(self.python), str(script), str(folder), str(self.sources / reference.folder)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_S, check=False)
            if done.returncode:
                said = done.stderr.strip() or f"status {done.returncode}, and said nothing"
                raise NotThere(f"{script.name} ended with: {said.splitlines()[-1]}")
            with np.load(folder / "found.npz", allow_pickle=False) as stored:
                return dict(stored)

    def _require_packages(self, reference: Reference) -> None:
        if not self.python.is_file():
            raise NotThere(f"no interpreter at {self.python}")
        missing = [name for name in reference.packages if not self._pip_version(name)]
        if missing:
            raise NotThere(f"{' '.join(missing)} not installed: {self.python} -m pip install {' '.join(missing)}")

    def _pip_version(self, package: str) -> str:
        told = f"from importlib.metadata import version; print(version({package!r}))"
        return _said([str(self.python), "-c", told])


def _said(command: list[str]) -> str:
    """Nothing where the command fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if not done.returncode else ""
