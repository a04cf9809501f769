"""The commands against a server: what they ask, what they print, how they leave."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.metric import Agreement
from enxuto.preprocessing import InputPreprocessing
from enxuto.render.repeat import repeat_line
from enxuto.report import CompareReport, OptimizeReport, ReportAdapter
from enxuto.request import CompareOptions, OptimizeOptions
from enxuto.techniques import MagnitudePruning, StaticInt8
from enxuto.workload import Workload
from tests.support.command import enxuto
from tests.support.reports import compare_report, digest, optimize_report
from tests.support.scripted_server import Answer, Asked, as_json, scripted
from tests.support.scripted_service import LEAN, REPORT, Service, job


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models and data under the names that reports use, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("ENXUTO_SERVER", "ENXUTO_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("digits.onnx", "digits-int8.onnx", "evaluation-data.npz", "calibration-data.npz"):
        (tmp_path / name).write_text(name.partition(".")[0])
    return tmp_path


def succeeded() -> Service:
    return Service(job("running"), job("succeeded", has_report=True))


def test_optimize_prints_the_table_and_takes_home_the_model(folder: Path) -> None:
    with scripted(succeeded()) as server:
        ran = enxuto("optimize", "digits.onnx", "--data", "evaluation-data.npz", "--server", server.url, "-o", "out")
    assert ran.code == 0, ran.err
    assert "★  graph_optimization → static_int8" in ran.out
    assert ran.out.endswith("In out: optimized.onnx, report.html, report.json\n")
    assert (folder / "out" / "optimized.onnx").read_bytes() == LEAN
    assert ran.err.splitlines() == [
        "[  0%] upload: uploading digits.onnx",
        "[  0%] upload: uploading evaluation-data.npz",
        "[ 50%] measure: timing static_int8",
    ]


def test_json_is_the_report_and_nothing_else() -> None:
    with scripted(succeeded()) as server:
        ran = enxuto("optimize", "digits.onnx", "--server", server.url, "--json")
    assert ran.code == 0
    assert ReportAdapter.validate_json(ran.out) == REPORT


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_compare_leaves_with_zero_only_when_it_passed(passed: bool, code: int) -> None:
    report = compare_report(passed=passed).model_dump_json(by_alias=True)
    service = Service(job("succeeded", kind="compare"), report=report)
    with scripted(service) as server:
        ran = enxuto("compare", "digits.onnx", "digits-int8.onnx", "--min-speedup", "1.2", "--server", server.url)
    assert ran.code == code
    assert (service.body["against"], service.body["model"]) == ("mdl_digits", "mdl_digits-int8"), (
        "the original is first"
    )


def test_a_failed_job_leaves_with_one_and_one_paragraph() -> None:
    error = {"code": "data_does_not_fit", "class": "user", "detail": "Input x wants float32.", "hint": "Convert it."}
    with scripted(Service(job("failed", error=error))) as server:
        ran = enxuto("optimize", "digits.onnx", "--server", server.url)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1] == "error: Input x wants float32. Convert it. [data_does_not_fit]"


def test_a_fault_of_the_service_leaves_with_three() -> None:
    error = {"code": "internal", "class": "internal", "detail": "It broke.", "hint": ""}
    with scripted(Service(job("failed", error=error))) as server:
        assert enxuto("optimize", "digits.onnx", "--server", server.url).code == 3


def test_ctrl_c_cancels_the_job_and_leaves_with_130(folder: Path) -> None:
    """A process of its own, since the signal is real."""
    waited_for = threading.Event()
    service = Service(*[job("running")] * 1000)

    def answer(asked: Asked) -> Answer:
        if asked.path == "/v1/jobs/job_1":
            waited_for.set()
        return service(asked)

    with scripted(answer) as server:
        line = [sys.executable, "-m", "enxuto.cli", "optimize", "digits.onnx", "--server", server.url]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert waited_for.wait(30)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=30)
        assert "POST /v1/jobs/job_1/cancel" in server.paths()
    assert running.returncode == 130
    assert err.splitlines()[-1].startswith("stopped: job_1 was told to stop")


def test_a_job_that_somebody_else_cancelled_leaves_with_one() -> None:
    with scripted(Service(job("cancelled", has_report=True))) as server:
        ran = enxuto("optimize", "digits.onnx", "--server", server.url)
    assert ran.code == 1
    assert "The best so far is in the report of job_1." in ran.err


def test_a_server_that_is_not_there_leaves_with_three() -> None:
    ran = enxuto("jobs", "list", "--server", "http://127.0.0.1:9")
    assert ran.code == 3
    assert ran.err.startswith("error: The server at http://127.0.0.1:9 could not be reached")
    assert "Traceback" not in ran.err


def test_the_key_comes_from_the_environment_and_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENXUTO_KEY", "enx_secret")
    denied = {"code": "key_unknown", "detail": "This key is not known.", "hint": "Check it."}
    with scripted(lambda asked: as_json(denied, 401)) as server:
        ran = enxuto("jobs", "show", "job_1", "--server", server.url)
        assert server.asked[0].headers["authorization"] == "Bearer enx_secret"
    assert ran.code == 1
    assert "enx_secret" not in ran.out + ran.err + enxuto("optimize", "--help").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["optimize", "nowhere.onnx"], "there is no file 'nowhere.onnx'"),
        (["optimize", "."], "is a folder"),
        (["optimize", "mdl_abc"], "need --server"),
        (["optimize", "digits.onnx", "--data", "nowhere.npz"], "no file 'nowhere.npz'"),
        (["optimize", "digits.onnx", "--max-drop", "much"], "'much' is no share"),
        (["optimize", "digits.onnx", "--recipe", "static_int8", "--size-mb", "3"], "takes no --size-mb"),
        (["optimize", "digits.onnx", "--minimize", "size", "--maximize", "throughput"], "not both"),
        (["optimize", "digits.onnx", "--seed", "-1"], "--seed"),
        (["optimize", "digits.onnx", "--deadline", "0"], "--deadline"),
        (["optimize", "digits.onnx", "--batch-size", "0"], "--batch-size"),
        (["optimize", "digits.onnx", "--fastest"], "No such option"),
        (["compare", "digits.onnx"], "Missing argument"),
        (["compare", "digits.onnx", "digits.onnx", "--absolute"], "without --max-drop"),
        (["compare", "digits.onnx", "digits.onnx", "--min-speedup", "0"], "--min-speedup"),
        (["techniques", "static_int9"], "there are graph_optimization"),
        (["jobs", "list", "--state", "lost"], "queued"),
        (["nonsense"], "No such command"),
    ],
)
def test_a_line_that_cannot_be_read_leaves_with_two(arguments: list[str], told: str) -> None:
    ran = enxuto(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in " ".join(ran.err.replace("│", " ").split())


def test_jobs_are_listed_shown_and_cancelled() -> None:
    result = {"verdict": "no_gain", "why": "Nothing was faster."}
    jobs = [job("running"), job("succeeded", id="job_2", result=result, has_report=True)]

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/v1/jobs?"):
            return as_json({"items": jobs, "next_cursor": None})
        return as_json(jobs[1]) if asked.path == "/v1/jobs/job_2" else as_json(job("cancelling"), 202)

    with scripted(answer) as server:
        listed = enxuto("jobs", "list", "--limit", "5", "--server", server.url)
        assert [line.split()[0] for line in listed.out.splitlines()] == ["job", "job_1", "job_2"]
        assert "50%" in listed.out
        assert "no gain" in listed.out
        shown = enxuto("jobs", "show", "job_2", "--server", server.url)
        assert shown.out == "job_2: optimize, succeeded\nNothing was faster.\nIts report: enxuto jobs report job_2\n"
        assert json.loads(enxuto("jobs", "show", "job_2", "--server", server.url, "--json").out) == jobs[1]
        assert enxuto("jobs", "cancel", "job_1", "--server", server.url).out == "job_1 is cancelling.\n"


def test_what_a_job_says_is_printed_as_it_is() -> None:
    error = {"code": "bad_input", "detail": "The shape is [batch, 3][/b].", "hint": "", "class": "user"}
    with scripted(lambda asked: as_json({"items": [job("failed", error=error)], "next_cursor": None})) as server:
        listed = enxuto("jobs", "list", "--server", server.url)
    assert "The shape is [batch, 3][/b]." in listed.out, listed.err


def test_a_report_is_fetched_long_after(folder: Path) -> None:
    with scripted(Service(job("succeeded", has_report=True))) as server:
        ran = enxuto("jobs", "report", "job_1", "--server", server.url, "-o", "out")
    assert ran.code == 0, ran.err
    assert "★" in ran.out
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["optimized.onnx", "report.html", "report.json"]


def test_techniques_are_listed_with_their_bounds() -> None:
    assert "percentile = 99.99  number ≥ 90 ≤ 100" in enxuto("techniques").out
    (one,) = json.loads(enxuto("techniques", "half_weights", "--json").out)
    assert one["parameters"]["properties"]["dtype"]["enum"] == ["float16", "bfloat16"]


REQUESTS = [
    OptimizeOptions(goal=Goal(minimize="latency", max_drop=MaxDrop())),
    OptimizeOptions(
        goal=Goal(
            maximize="throughput", max_drop=MaxDrop(value=0.007, relative=False, confidence=0.9), p95_ms=0.1,
            size_mb=3.25, memory_mb=300,
        ),
        metric=Agreement(by="cosine", output="it's"),
        preprocessing={
            "an input": InputPreprocessing.model_validate({"scale": 0.1, "std": [2], "from": "NHC", "to": "NCH"})
        },
        workload=Workload(batch_size=4, threads=2, dims={"sequence": 12}),
        deadline_s=90.5,
        seed=7,
    ),
    OptimizeOptions(goal=Goal(minimize="size", max_drop=None)),
    OptimizeOptions(recipe=[MagnitudePruning(ratio=0.5), StaticInt8()]),
    OptimizeOptions(recipe=[StaticInt8()]),
]  # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_the_line_in_a_report_asks_for_the_same_again(request_: OptimizeOptions) -> None:
    replay = optimize_report().replay.model_copy(
        update={"datasets": {"evaluation": digest("a"), "calibration": digest("b")}}
    )
    report = optimize_report(request=request_, goal=request_.goal, replay=replay)
    body = asked_by(repeat_line(report), REPORT)
    assert (body.pop("kind"), body.pop("model"), body.pop("target")) == ("optimize", "mdl_digits", "any")
    assert body.pop("data") == {"evaluation": "dst_evaluation-data", "calibration": "dst_calibration-data"}
    assert OptimizeOptions.model_validate_json(json.dumps(body)) == request_


def test_the_line_of_a_comparison_asks_for_the_same_again() -> None:
    options = CompareOptions(
        thresholds=Thresholds(max_drop=MaxDrop(value=0.005), min_speedup=1.2, max_size_ratio=0.5, max_memory_ratio=1),
        seed=3,
    )
    report = compare_report(request=options)
    body = asked_by(repeat_line(report), report)
    assert (body.pop("kind"), body.pop("model"), body.pop("against")) == ("compare", "mdl_digits-int8", "mdl_digits")
    assert (body.pop("data"), body.pop("target")) == ({"evaluation": "dst_evaluation-data"}, "any")
    assert CompareOptions.model_validate_json(json.dumps(body)) == options


def asked_by(line: str, report: OptimizeReport | CompareReport) -> dict[str, object]:
    """The body that a command line sends to a server."""
    service = Service(job("succeeded"), report=report.model_dump_json(by_alias=True))
    with scripted(service) as server:
        program, *arguments = shlex.split(line)
        ran = enxuto(*arguments, "--server", server.url, "--json")
    assert (program, ran.err.count("error:")) == ("enxuto", 0), ran.err
    return service.body
