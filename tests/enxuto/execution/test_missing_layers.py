"""On a kernel without Landlock: a filter that is set up first answers its calls "not implemented"."""

from __future__ import annotations

import textwrap
from pathlib import Path

from tests.support.boxed import run_unboxed

WITHOUT_LANDLOCK = """
import errno, logging, os, sys
from pathlib import Path
from enxuto.execution import privileges, seccomp
from enxuto.execution.kernel import processor
privileges.gain_none()
landlock = {"create": (444, 444), "add": (445, 445), "restrict": (446, 446)}
refused = seccomp.answer(landlock, processor(), errno.ENOSYS)
seccomp.install(processor(), [seccomp.LOAD_NUMBER, *refused, seccomp.ALLOW])
"""

ENTER = """
from enxuto.execution.sandbox import Policy, enter
layers = enter(Policy(os.getppid(), os.getcwd(), [], 2**29, 2**20, 64, 60))
print(layers.missing, layers.landlock_abi)
import socket
try:
    socket.socket()
except PermissionError:
    print("seccomp still stands")
"""

RUN_A_STEP = """
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from enxuto.execution.files import FolderFiles
from enxuto.execution.limits import Limits
from enxuto.execution.process import StepRunner
from enxuto.steps import RenderReport
Path("report.json").write_text("{{}}")
files = FolderFiles(Path("files"))
run = StepRunner(files, scratch=Path("steps"), limits=Limits(require_sandbox={require}))
print(run(RenderReport(report=files.add(Path("report.json"))), stop=lambda: False).finding.code)
"""


def test_the_other_layers_stand_and_the_missing_one_is_named(tmp_path: Path) -> None:
    ran = run_unboxed(textwrap.dedent(WITHOUT_LANDLOCK + ENTER), tmp_path)
    assert ran.stdout.splitlines() == ["['Landlock'] 0", "seccomp still stands"], ran.stderr


def test_a_step_runs_and_the_operator_is_warned(tmp_path: Path) -> None:
    ran = run_unboxed(WITHOUT_LANDLOCK + RUN_A_STEP.format(require=False), tmp_path)
    assert "does not give: Landlock" in ran.stdout, ran.stderr
    assert "sandbox_incomplete" not in ran.stdout


def test_a_step_is_refused_where_the_whole_box_is_required(tmp_path: Path) -> None:
    ran = run_unboxed(WITHOUT_LANDLOCK + RUN_A_STEP.format(require=True), tmp_path)
    assert "sandbox_incomplete" in ran.stdout, ran.stderr
