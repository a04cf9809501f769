"""Real steps in real processes, and whatever can become of them."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from onnx.parser import parse_model

from enxuto.errors import Interrupted
from enxuto.execution.files import FolderFiles
from enxuto.execution.limits import Limits
from enxuto.execution.process import StepRunner
from enxuto.schema import Digest
from enxuto.signature import ModelInspection
from enxuto.steps import (
    Done,
    Failed,
    InspectModel,
    MeasureLatency,
    MeasureMemory,
    MemoryUse,
    RenderReport,
    Subject,
)
from enxuto.workload import Workload
from tests.support.processes import children_of, is_alive, wait_for
from tests.support.reports import optimize_report
from tests.support.tiny_models import convnet, save


class Bench:
    """A folder of files, and a runner over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.files = FolderFiles(folder / "files")

    def runner(self, limits: Limits | None = None, measuring_lock: Path | None = None) -> StepRunner:
        return StepRunner(self.files, scratch=self.scratch, limits=limits, measuring_lock=measuring_lock)

    def add(self, content: bytes) -> Digest:
        (self.folder / "incoming").write_bytes(content)
        return self.files.add(self.folder / "incoming")

    def model(self) -> Digest:
        return self.files.add(save(convnet(), self.folder / "model.onnx"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def never() -> bool:
    return False


def endless(model: Digest) -> MeasureLatency:
    """A step that would take an hour."""
    return MeasureLatency(
        subjects=[Subject(model=model)],
        workload=Workload(),
        samples=None,
        preprocessing={},
        load=0,
        seed=0,
        block_ms=60_000,
        rounds=60,
    )


def test_a_step_is_done_and_its_files_are_kept_and_nothing_else_stays(bench: Bench) -> None:
    report = bench.add(optimize_report().model_dump_json(by_alias=True).encode())
    outcome = bench.runner()(RenderReport(report=report), stop=never)
    assert isinstance(outcome, Done)
    assert bench.files.path(outcome.files["report.html"]).read_text().startswith("<!doctype html>")
    assert outcome.elapsed_s > 0
    assert list(bench.scratch.iterdir()) == []


def test_a_model_is_inspected_in_the_box(bench: Bench) -> None:
    outcome = bench.runner()(InspectModel(model=bench.model(), name="model.onnx"), stop=never)
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, ModelInspection)
    assert outcome.result.inputs[0].name == "image"


def test_a_models_memory_is_measured_in_the_box(bench: Bench) -> None:
    step = MeasureMemory(
        subject=Subject(model=bench.model()), workload=Workload(threads=2), samples=None, preprocessing={}, seed=0
    )
    outcome = bench.runner()(step, stop=never)
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, MemoryUse)
    assert outcome.result.peak_bytes > 2**20


def test_what_a_step_finds_wrong_is_the_users_to_read(bench: Bench) -> None:
    outcome = bench.runner()(InspectModel(model=bench.add(b"hello"), name="model.onnx"), stop=never)
    assert isinstance(outcome, Failed)
    assert outcome.finding.fault == "user"
    assert outcome.finding.hint


def test_a_file_that_is_not_kept_is_named(bench: Bench) -> None:
    outcome = bench.runner()(RenderReport(report="0" * 64), stop=never)
    assert isinstance(outcome, Failed)
    assert (outcome.finding.code, outcome.finding.fault) == ("file_missing", "internal")
    assert "0" * 64 in outcome.finding.detail


def test_a_few_bytes_that_ask_for_32_gib_end_as_a_lack_of_memory(bench: Bench) -> None:
    greedy = parse_model(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        greedy () => (float[n] y) {
            shape = Constant<value_ints: ints = [8589934592]>()
            zeros = ConstantOfShape(shape)
            y = Exp(zeros)
        }
        """
    )
    step = MeasureMemory(
        subject=Subject(model=bench.add(greedy.SerializeToString())),
        workload=Workload(),
        samples=None,
        preprocessing={},
        seed=0,
    )
    outcome = bench.runner(Limits(memory_bytes=2**30))(step, stop=never)
    assert isinstance(outcome, Failed)
    assert (outcome.finding.code, outcome.finding.fault) == ("out_of_memory", "capacity")


def test_told_to_stop_a_step_ends_within_a_second_and_leaves_nothing(bench: Bench) -> None:
    step, asked = endless(bench.model()), time.monotonic() + 1.5
    before = set(children_of(os.getpid()))  # services that other tests keep
    with pytest.raises(Interrupted):
        bench.runner()(step, stop=lambda: time.monotonic() > asked)
    assert time.monotonic() - asked < 1
    assert list(bench.scratch.iterdir()) == []
    assert set(children_of(os.getpid())) <= before


def test_a_step_that_takes_too_long_is_a_row_with_its_reason(bench: Bench) -> None:
    outcome = bench.runner(Limits(time_s=1.5))(endless(bench.model()), stop=never)
    assert isinstance(outcome, Failed)
    assert (outcome.finding.code, outcome.finding.fault) == ("step_timeout", "capacity")
    assert outcome.elapsed_s < 4
    assert list(bench.scratch.iterdir()) == []


def kill_children(times: int) -> threading.Thread:
    """Kills as many of this process's next children, each as soon as it is there."""
    known = set(children_of(os.getpid()))

    def kill_them() -> None:
        for _ in range(times):
            wait_for(lambda: bool(set(children_of(os.getpid())) - known))
            (child,) = set(children_of(os.getpid())) - known
            os.kill(child, signal.SIGKILL)
            known.add(child)

    killer = threading.Thread(target=kill_them)
    killer.start()
    return killer


def test_a_step_whose_process_is_killed_is_tried_once_more(bench: Bench) -> None:
    killer = kill_children(1)
    outcome = bench.runner()(InspectModel(model=bench.model(), name="model.onnx"), stop=never)
    killer.join()
    assert isinstance(outcome, Done)


def test_a_step_whose_process_is_killed_twice_is_a_row_with_its_reason(bench: Bench) -> None:
    killer = kill_children(2)
    outcome = bench.runner()(endless(bench.model()), stop=never)
    killer.join()
    assert isinstance(outcome, Failed)
    assert outcome.finding.code == "step_killed"
    assert list(bench.scratch.iterdir()) == []


class FullDisk(FolderFiles):
    """As a disk without room answers."""

    def add(self, path: Path) -> Digest:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_a_full_disk_is_a_row_with_its_reason(bench: Bench) -> None:
    report = bench.add(optimize_report().model_dump_json(by_alias=True).encode())
    outcome = StepRunner(FullDisk(bench.folder / "files"), scratch=bench.scratch)(
        RenderReport(report=report), stop=never
    )
    assert isinstance(outcome, Failed)
    assert (outcome.finding.code, outcome.finding.fault) == ("disk_full", "capacity")
    assert list(bench.scratch.iterdir()) == []


def test_only_measuring_steps_wait_for_their_turn(bench: Bench) -> None:
    lock = bench.folder / "lock"
    run = bench.runner(measuring_lock=lock)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert isinstance(run(InspectModel(model=bench.add(b"x"), name="x.onnx"), stop=never), Failed)
    with pytest.raises(Interrupted, match="another step"):
        run(endless(bench.model()), stop=lambda: True)
    os.close(descriptor)


PARENT = """
import sys
from pathlib import Path
from tests.enxuto.execution.test_process import Bench, endless, never
bench = Bench(Path(sys.argv[1]))
bench.runner()(endless(bench.model()), stop=never)
"""


def test_a_step_dies_with_the_worker_that_is_killed_and_the_next_one_cleans_up(bench: Bench) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(bench.folder)])
    wait_for(lambda: bool(children_of(parent.pid)))
    (child,) = children_of(parent.pid)
    wait_for(lambda: "Seccomp:\t2" in Path(f"/proc/{child}/status").read_text())  # it is in the box
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_alive(child), timeout_s=2)
    (abandoned,) = bench.scratch.iterdir()
    os.utime(abandoned, (0, 0))
    bench.runner()
    assert list(bench.scratch.iterdir()) == []
