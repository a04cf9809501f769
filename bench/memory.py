"""Memory of models of yours: what it goes to, how well activations are predicted, and how well it repeats.

    python -m bench.memory MODEL [MODEL ...] [--batches 1 8 64] [--dim NAME=SIZE ...] [--runtime onnxruntime]
                           [--repeats 1] [--single] [--no-pattern]

One line a model and batch size, in megabytes (10^6 bytes), medians where there are several repeats, each as in a job:
the lowest of up to five fresh processes in the box, or with ``--single`` the first one. The peak, what it splits into,
how far the repeats' peaks are apart (highest over lowest), then for ONNX Runtime

    predicted  the highest sum of the tensors held at one time by the shapes, inputs included
    told       what ONNX Runtime's own profile says of its first call: highest in use in its arena, inputs added
    ratio      predicted over told
    held       what the arena is told to hold in the end: blocks of the first call and, with memory patterns, one block
               planned for all later calls, both rounded up

``told`` and ``held`` leave out what the arena has held since the model was loaded, which is packed weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner
from enxuto.search.memory import lowest_memory
from enxuto.search.plan import Progress, Reply
from enxuto.settings import DEFAULT_SETTINGS, OnnxRuntimeSettings, RunSettings
from enxuto.steps import Failed, MeasureMemory, MemoryUse, Subject
from enxuto.workload import Workload

_ROW = "{:26s} {:>5s}" + " {:>8s}" * 11
_TITLES = (
    "model", "batch", "peak", "runtime", "weights", "arena", "rest", "steady", "spread", "predict", "told", "ratio",
    "held",
)  # fmt: skip
_PROFILED = """
import json, sys
from pathlib import Path
import onnxruntime as ort
from enxuto.dataset import feeds_for
from enxuto.runtimes.onnxruntime import OnnxRuntimeModel, session_options
from enxuto.search.memory import lowest_memory
from enxuto.search.plan import Progress, Reply
from enxuto.settings import OnnxRuntimeSettings
from enxuto.workload import Workload

path, workload, settings, prefix = Path(sys.argv[1]), *sys.argv[2:]
settings = OnnxRuntimeSettings.model_validate_json(settings)
feeds = feeds_for(OnnxRuntimeModel(path, 1).inputs, Workload.model_validate_json(workload), None, 0)
options = session_options(1, settings)
options.enable_profiling, options.profile_file_prefix = True, prefix
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
calls = 4
for _ in range(calls):
    session.run(None, feeds)
events = json.loads(Path(session.end_profiling()).read_text())
seen = [event["args"] for event in events if "mem_arena_held" in event.get("args", {})]
before = int(seen[0]["mem_bytes_requested_in_use"]) - int(seen[0]["mem_requested_in_use_delta"])
told = max(int(args["mem_bytes_requested_in_use"]) for args in seen[: len(seen) // calls])
inputs = sum(array.nbytes for array in feeds.values())
print(json.dumps({"told": told - before + inputs, "held": int(seen[-1]["mem_arena_held"]) - before}))
"""
"""In a process of its own, since a profile takes memory."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--dim", nargs="*", default=[], help="Sizes of symbolic axes that are not the batch.")
    parser.add_argument("--runtime", choices=list(DEFAULT_SETTINGS), default="onnxruntime")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--single", action="store_true", help="One process a repeat.")
    parser.add_argument("--no-pattern", action="store_true", help="ONNX Runtime without memory patterns.")
    arguments = parser.parse_args()
    settings = DEFAULT_SETTINGS[arguments.runtime]
    if arguments.no_pattern and isinstance(settings, OnnxRuntimeSettings):
        settings = settings.model_copy(update={"memory_pattern": False})
    dims = {name: int(size) for name, _, size in (each.partition("=") for each in arguments.dim)}
    print(_ROW.format(*_TITLES))
    for path in arguments.models:
        for batch in arguments.batches:
            print(
                _row(path, Workload(batch_size=batch, dims=dims), settings, arguments.repeats, arguments.single),
                flush=True,
            )


def _row(path: Path, workload: Workload, settings: RunSettings, repeats: int, single: bool) -> str:
    name = path.parent.name if path.stem == "model" else path.stem
    uses = [_measured(path, workload, settings, single) for _ in range(repeats)]
    measured = [use for use in uses if isinstance(use, MemoryUse)]
    if len(measured) < len(uses):
        why = next(use for use in uses if not isinstance(use, MemoryUse))
        return f"{name:26s} {workload.batch_size:5d} {why}"
    peaks = [use.peak_bytes for use in measured]
    told = _told(path, workload, settings) if isinstance(settings, OnnxRuntimeSettings) else {}
    predicted = measured[0].predicted_activation_bytes
    return _ROW.format(
        name,
        str(workload.batch_size),
        *(
            _mb(*(getattr(use, f"{part}_bytes") for use in measured))
            for part in ("peak", "runtime", "weights", "arena", "rest", "steady")
        ),
        f"{max(peaks) / min(peaks) - 1:.2%}",
        _mb(predicted),
        _mb(told.get("told")),
        f"{predicted / told['told']:.2f}" if predicted and told else "-",
        _mb(told.get("held")),
    )


def _measured(path: Path, workload: Workload, settings: RunSettings, single: bool = False) -> MemoryUse | str:
    with tempfile.TemporaryDirectory() as folder:
        files = FolderFiles(Path(folder) / "files")
        runner = StepRunner(files, scratch=Path(folder) / "scratch")
        subject = Subject(model=files.add(path), settings=settings)
        step = MeasureMemory(subject=subject, workload=workload, samples=None, preprocessing={}, seed=0)
        plan = lowest_memory(step, Progress("measure", "", 0.0))
        task = next(plan)
        try:
            while True:
                outcome = runner(task.step, stop=lambda: False)
                if isinstance(outcome, Failed):
                    return f"{outcome.finding.code}: {outcome.finding.detail}"
                if single and isinstance(outcome.result, MemoryUse):
                    return outcome.result
                task = plan.send(Reply(outcome, None))
        except StopIteration as stop:
            use: MemoryUse = stop.value
            return use


def _told(path: Path, workload: Workload, settings: RunSettings) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(path), workload.model_dump_json(), settings.model_dump_json(), f"{folder}/profile"]
        ran = subprocess.run([sys.executable, "-c", _PROFILED, *arguments], capture_output=True, text=True, check=True)
    told: dict[str, int] = json.loads(ran.stdout)
    return told


def _mb(*values: int | None) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known) / 1e6:.2f}" if known else "-"


if __name__ == "__main__":
    main()
