"""What every peer's script is given, and what it leaves. Runs in the peer's environment: numpy and nothing of ours."""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Job:
    """One method on one model."""

    model: Path
    calibration: Path | None
    """``.npz`` with one array an input, ready to be fed; None where the case has no data."""
    out: Path
    """Where the models go, and nothing else."""
    scratch: Path
    transformer: bool

    def feeds(self) -> list[dict[str, np.ndarray]]:
        """The samples, one at a time."""
        if self.calibration is None:
            raise ValueError("there is no calibration data")
        with np.load(self.calibration, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        count = min(len(array) for array in arrays.values())
        return [{name: array[row : row + 1] for name, array in arrays.items()} for row in range(count)]


class Reader:
    """Samples in the form that onnxruntime's quantizer asks for them, as do those that grew out of it."""

    def __init__(self, feeds: list[dict[str, np.ndarray]]) -> None:
        self._feeds = feeds
        self._left: Iterator[dict[str, np.ndarray]] = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)

    def rewind(self) -> None:
        self._left = iter(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self._feeds[start_index:end_index])

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return iter(self._feeds)

    def __next__(self) -> dict[str, np.ndarray]:
        return next(self._left)


def main(methods: Mapping[str, Callable[[Job], None]]) -> None:
    """Run the method that the command line names; leave ``result.json`` in the folder above ``out``.

    It says what the process cost, imports of the libraries included, and what went wrong where something did.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=methods)
    parser.add_argument("model", type=_absolute)
    parser.add_argument("folder", type=_absolute)
    parser.add_argument("--calibration", type=_absolute)
    parser.add_argument("--transformer", action="store_true")
    given = parser.parse_args()
    out = given.folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    imports_s = _cpu_s()
    error = None
    # some tools leave files where they stand
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        try:
            methods[given.method](Job(given.model, given.calibration, out, Path(scratch), given.transformer))
        except BaseException as problem:  # noqa: BLE001 - whatever stops a peer is its result
            traceback.print_exc()
            error = f"{type(problem).__name__}: {problem}".strip()
            shutil.rmtree(out)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found = {
        "error": error,
        "cpu_s": _cpu_s(),
        "imports_cpu_s": imports_s,
        "peak_bytes": max(each.ru_maxrss for each in used) * 1024,
    }
    (given.folder / "result.json").write_text(json.dumps(found), encoding="utf-8")
    sys.exit(1 if error else 0)


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
