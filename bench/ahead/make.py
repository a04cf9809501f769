"""Has every tool make its models of a case, each in a process of its own, and says what each cost."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from bench.ahead import ours
from bench.ahead.cases import Case
from bench.ahead.ours import Wanted
from bench.ahead.runner import files_of, size_of
from bench.peers.listed import PEERS, Kind, python_of
from enxuto.dataset.preprocess import preprocess
from enxuto.settings import RunSettings
from enxuto.signature import ModelInspection

MINE = "enxuto"
_SETTINGS: TypeAdapter[RunSettings | None] = TypeAdapter(RunSettings | None)
_MOST_S = 1800
_MOST_SAMPLES = 512
"""As many as the search itself calibrates on."""
_PRODUCTS_A_SOFTMAX = 4
"""Attention has at least these: of queries with keys, of weights with values, and linears around them."""


@dataclass(frozen=True)
class Made:
    """What a tool left of a model, or why it left nothing."""

    tool: str
    method: str
    model: Path | None
    size_bytes: int
    cpu_s: float
    peak_bytes: int
    settings: RunSettings | None = None
    """That the tool gave with it; None: whoever runs it chooses."""
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.tool} {self.method}"


def kinds_of(model: ModelInspection) -> set[Kind]:
    """Attention shows by products of matrices around a softmax, where nothing convolves. A softmax after a few linears
    makes class scores."""
    seen = model.operators
    softmaxes = seen.get("Softmax", 0)
    attends = softmaxes and "Conv" not in seen and seen.get("MatMul", 0) >= softmaxes * _PRODUCTS_A_SOFTMAX
    kinds: set[Kind] = {"transformer" if attends else "other"}
    return kinds | {"products"} if "MatMul" in seen else kinds


@dataclass(frozen=True)
class Kitchen:
    """Where models are made, and kept for another run on the same case."""

    folder: Path
    case: Case
    inspection: ModelInspection

    def mine(self, methods: list[str], *, again: bool) -> Iterator[Made]:
        """Made anew unless an earlier run's will do: what is measured is the program as it is."""
        request = self.folder / "request.json"
        request.write_text(self._wanted().model_dump_json(by_alias=True), encoding="utf-8")
        for method in methods:
            into = self.folder / MINE / method
            if again or not (into / "result.json").is_file():
                shutil.rmtree(into, ignore_errors=True)
                into.mkdir(parents=True)
                _run([sys.executable, "-m", ours.__name__, method, str(request), str(into)], into)
            yield self._found(MINE, method, into)

    def peers(self, environments: Path) -> Iterator[Made]:
        """Of every peer that is installed."""
        calibration = self._calibration()
        kinds = kinds_of(self.inspection)
        for peer in PEERS:
            python = python_of(peer, environments)
            for method in peer.methods if python.is_file() else ():
                if not method.is_for(kinds):
                    continue
                into = self.folder / peer.name / method.name
                if not (into / "result.json").is_file():
                    into.mkdir(parents=True, exist_ok=True)
                    command = [str(python), str(peer.script), method.name, str(self.case.model.resolve()), str(into)]
                    command += ["--calibration", str(calibration)] if calibration else []
                    _run(command + (["--transformer"] if "transformer" in kinds else []), into)
                yield self._found(peer.name, method.name, into)

    def _found(self, tool: str, method: str, folder: Path) -> Made:
        told = folder / "result.json"
        if not told.is_file():
            return Made(tool, method, None, 0, 0.0, 0, note=_last_words(folder) or "it ended without a word")
        result = json.loads(told.read_text(encoding="utf-8"))
        models = [path for path in sorted((folder / "out").glob("*")) if path.suffix in {".onnx", ".xml"}]
        note = result["error"] or result.get("note", "") or ("" if models else "it left no model")
        model = models[0] if models and not result["error"] else None
        settings = _SETTINGS.validate_python(result.get("settings"))
        size = size_of(model) if model else 0
        return Made(tool, method, model, size, result["cpu_s"], result["peak_bytes"], settings, note)

    def _wanted(self) -> Wanted:
        case = self.case
        return Wanted(
            model=str(case.model.resolve()),
            evaluation=str(case.evaluation) if case.evaluation else None,
            calibration=str(case.calibration) if case.calibration else None,
            settings=case.settings,
        )

    def _calibration(self) -> Path | None:
        """Ready to be fed: peers know nothing of how samples are stored."""
        if self.case.calibration is None:
            return None
        path = self.folder / "calibration.npz"
        if not path.is_file():
            wanted = {spec.name: np.dtype(spec.dtype) for spec in self.inspection.inputs}
            with np.load(self.case.calibration, allow_pickle=False) as stored:
                arrays = {name: stored[name][:_MOST_SAMPLES] for name in stored.files if name in wanted}
            for name, how in self.case.settings.preprocessing.items():
                arrays[name] = preprocess(arrays[name], how)
            np.savez(path, **{name: array.astype(wanted[name]) for name, array in arrays.items()}, allow_pickle=False)
        return path


def key_of(case: Case) -> str:
    """By the bytes of the model and of the calibration: what was made of others is made anew."""
    parts = [*files_of(case.model), *([case.calibration] if case.calibration else [])]
    sha256 = hashlib.sha256(case.settings.model_dump_json().encode())
    for path in parts:
        sha256.update(path.read_bytes())
    return f"{case.name}-{sha256.hexdigest()[:12]}"


def _run(command: list[str], folder: Path) -> None:
    with (folder / "log.txt").open("w") as log:
        try:
            subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT, timeout=_MOST_S)
        except subprocess.TimeoutExpired:
            log.write(f"\nit was still at it after {_MOST_S} s")


def _last_words(folder: Path) -> str:
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
