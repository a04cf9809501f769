"""A child's answer is read as from a stranger."""

from __future__ import annotations

from pathlib import Path

import pytest

from enxuto.errors import EnxutoError, OutOfCapacity
from enxuto.execution import child
from enxuto.execution.answer import read_answer, warn_of_missing_layers
from enxuto.execution.limits import Limits
from enxuto.execution.message import Request
from enxuto.execution.sandbox import Policy
from enxuto.steps import Rendered


def code_of(folder: Path, return_code: int) -> str:
    with pytest.raises(EnxutoError) as caught:
        read_answer("render_report", folder, return_code, "", Limits())
    return caught.value.finding.code


def test_a_result_of_the_steps_kind_is_taken(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"file": "report.html"}')
    assert read_answer("render_report", tmp_path, 0, "", Limits()) == Rendered(file="report.html")


@pytest.mark.parametrize("document", ["", "[]", "{", '{"file": 3}', '{"file": "x", "more": 1}', "\x00", "[" * 100_000])
def test_anything_else_is_no_result(document: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(document)
    assert code_of(tmp_path, 0) == "step_result_invalid"


def test_a_result_is_not_believed_of_a_process_that_failed(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"file": "report.html"}')
    assert code_of(tmp_path, -11) == "step_crashed"
    assert code_of(tmp_path, 1) == "step_left_too_little"


def test_a_finding_is_passed_on_in_plain_text(tmp_path: Path) -> None:
    (tmp_path / "finding.json").write_text('{"code": "not_a_model", "detail": "\\u001b[2J bad", "fault": "user"}')
    with pytest.raises(EnxutoError) as caught:
        read_answer("render_report", tmp_path, 1, "", Limits())
    assert caught.value.finding.code == "not_a_model"
    assert caught.value.finding.fault == "user"
    assert "\x1b" not in caught.value.finding.detail


@pytest.mark.parametrize("document", ["{}", '{"code": "<script>", "detail": "x"}', '{"code": "x", "detail": 1}'])
def test_a_finding_that_is_none_is_refused(document: str, tmp_path: Path) -> None:
    (tmp_path / "finding.json").write_text(document)
    assert code_of(tmp_path, 1) == "step_result_invalid"


@pytest.mark.parametrize("document", ["{}", "nonsense", "[1]"])
def test_nonsense_about_the_sandbox_is_refused(document: str, tmp_path: Path) -> None:
    (tmp_path / "missing_layers.json").write_text(document)
    with pytest.raises(EnxutoError, match="nonsense"):
        warn_of_missing_layers(tmp_path)


def test_a_disk_so_full_that_no_finding_fits_is_told_by_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "finding.json").symlink_to("/dev/full")
    policy = Policy(0, str(tmp_path), [], memory_bytes=0, file_bytes=0, open_files=0, cpu_s=0)
    request = Request(step="no step", files={}, policy=policy, require_sandbox=False)
    monkeypatch.setattr(child, "main", lambda folder: child._do(request, [], folder))

    code = child._told(tmp_path)

    (tmp_path / "finding.json").unlink()
    (tmp_path / "finding.json").touch()
    with pytest.raises(OutOfCapacity) as caught:
        read_answer("inspect_model", tmp_path, code, "", Limits())
    assert caught.value.code == "disk_full"
