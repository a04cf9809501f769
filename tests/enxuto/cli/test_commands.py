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
from enxuto.report import BenchmarkReport, Report, ReportAdapter
from enxuto.request import BenchmarkOptions, CompareOptions, OptimizeOptions
from enxuto.scenario import Batching, MultiStream, Offline, Server, ServingGoal, SingleStream
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.techniques import MagnitudePruning, StaticInt8
from enxuto.workload import Workload
from tests.support.command import Ran, enxuto
from tests.support.reports import (
    benchmark_report,
    compare_report,
    digest,
    optimize_report,
    profile_of_two,
    server_report,
)
from tests.support.scripted_server import Answer, Asked, as_json, scripted
from tests.support.scripted_service import DELIVERED, LEAN, REPORT, Service, job


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
    assert ran.out.endswith("In out: load_model.py, optimized.onnx, report.html, report.json, settings.json\n")
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


def benchmarked(report: BenchmarkReport, *arguments: str) -> tuple[Ran, dict[str, object]]:
    service = Service(job("succeeded", kind="benchmark"), report=report.model_dump_json(by_alias=True), files={})
    with scripted(service) as server:
        return enxuto("benchmark", "digits.onnx", *arguments, "--server", server.url), service.body


def test_benchmark_prints_its_curves_with_the_knee_and_its_plan_beside_what_was_measured() -> None:
    ran, _ = benchmarked(benchmark_report(), "--serve-p95-ms", "10")
    assert ran.code == 0, ran.err
    lines = [line.rstrip() for line in ran.out.splitlines()]
    assert [line.split()[0] for line in lines if line.endswith("knee")] == ["◆", "◆", "◆"]
    (failed,) = [line for line in lines if "failed: The model took more memory" in line]
    assert failed.split()[0] == "128"
    simulated, measured = (next(line for line in lines if line.startswith(word)) for word in ("simulated", "measured"))
    assert "7.16 ms" in simulated
    assert "✓ holds" in measured
    assert "carry the most: 4,180 samples a second" in ran.out


def test_benchmark_of_a_load_prints_every_run() -> None:
    ran, _ = benchmarked(server_report(), "--scenario", "server", "--latency-ms", "10")
    assert ran.code == 0, ran.err
    assert ran.out.count("✓ holds") == 4
    assert ran.out.count("✗ does not hold") == 1
    assert "failed: The queue grew without end." in ran.out


PLAN = benchmark_report().plan
assert PLAN


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (benchmark_report(), 0),
        (benchmark_report(plan=None, plan_why="No way to serve it fits."), 1),
        (benchmark_report(plan=PLAN.model_copy(update={"holds": False})), 1),
        (benchmark_report(plan=PLAN.model_copy(update={"holds": None, "measured": None})), 1),
        (benchmark_report(largest_batches=[]), 1),
        (benchmark_report(points=[]), 1),
        (benchmark_report(request=BenchmarkOptions(), plan=None, largest_batches=[]), 0),
        (server_report(), 0),
        (server_report(scenario=None), 1),
    ],
    ids=["all holds", "no plan", "plan fails", "plan unchecked", "no batch fits", "no point", "nothing asked", "rate",
         "no rate"],
)  # fmt: skip
def test_benchmark_leaves_with_zero_only_when_what_was_asked_holds(report: BenchmarkReport, code: int) -> None:
    assert benchmarked(report)[0].code == code


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", BenchmarkOptions()),
        ("--batch-sizes 1,2,2,4 --threads 1,2 --instances 1,2", BenchmarkOptions(
            scenario=Offline(batch_sizes=[1, 2, 4], threads=[1, 2], instances=[1, 2]))),
        ("--threads 2", BenchmarkOptions(workload=Workload(threads=2))),
        ("--memory-mb 80 --serve-p95-ms 9 --serve-rate 50 --serve-memory-mb 300 --serve-max-batch 8 --serve-check 20",
         BenchmarkOptions(memory_mb=80, serving=ServingGoal(
            p95_ms=9, rate_per_s=50, memory_mb=300, max_batch=8, check_s=20))),
        ("--scenario single_stream --duration 1m", BenchmarkOptions(scenario=SingleStream(duration_s=60))),
        ("--scenario multi_stream --samples-per-query 4", BenchmarkOptions(scenario=MultiStream(samples_per_query=4))),
        ("--scenario server --latency-ms 9 --percentile 95 --rate 7 --max-batch 8 --max-delay-ms 2 --instances 2 "
         "--duration 3", BenchmarkOptions(scenario=Server(latency_ms=9, percentile=95, rate_per_s=7, duration_s=3,
            batching=Batching(max_batch=8, max_delay_ms=2, instances=2)))),
        ("--runtime openvino --runtime '{\"runtime\": \"onnxruntime\", \"arena\": false}' --deadline 90 --seed 4 "
         "--dim n=3", BenchmarkOptions(
            settings=[OpenVinoSettings(), OnnxRuntimeSettings(arena=False)], deadline_s=90, seed=4,
            workload=Workload(dims={"n": 3}))),
    ],
)  # fmt: skip
def test_what_is_typed_for_a_benchmark_is_what_is_asked(typed: str, meant: BenchmarkOptions) -> None:
    _, body = benchmarked(benchmark_report(), *shlex.split(typed))
    asked = {name: value for name, value in body.items() if name in BenchmarkOptions.model_fields}
    assert BenchmarkOptions.model_validate_json(json.dumps(asked)) == meant


def test_profile_prints_operators_nodes_and_groups() -> None:
    report = profile_of_two()
    service = Service(job("succeeded", kind="profile"), report=report.model_dump_json(by_alias=True), files={})
    with scripted(service) as server:
        ran = enxuto("profile", "digits-int8.onnx", "digits.onnx", "--batch-size", "4", "--server", server.url)
    assert ran.code == 0, ran.err
    assert (service.body["model"], service.body["against"]) == ("mdl_digits-int8", "mdl_digits")
    told = [line.split() for line in ran.out.splitlines()]
    assert ["QLinearConv", "5", "0.322", "ms", "92.0", "%", "57.3", "%"] in told
    assert ["block1", "0.158", "ms", "0.292", "ms", "1.85×"] in told
    assert "18.4 GB/s from memory" in ran.out


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
        (["compare", "digits.onnx", "digits.onnx", "--runtime", "tflite"], "no runtime 'tflite'"),
        (["compare", "digits.onnx", "digits.onnx", "--margin", "much"], "'much' is no share"),
        (["compare", "digits.onnx", "digits.onnx", "--margin", "0"], "--margin"),
        (["compare", "digits.onnx", "digits.onnx", "--runtime", '{"runtime": "openvino", "arena": true}'], "arena"),
        (["optimize", "digits.onnx", "--runtime", "tflite"], "no runtime 'tflite'"),
        (["benchmark"], "Missing argument"),
        (["benchmark", "nowhere.onnx"], "there is no file 'nowhere.onnx'"),
        (["benchmark", "digits.onnx", "--batch-sizes", "0"], "'0' is no list of numbers above zero"),
        (["benchmark", "digits.onnx", "--batch-sizes", "1,,2"], "is no list"),
        (["benchmark", "digits.onnx", "--batch-sizes", "1,two"], "is no list"),
        (["benchmark", "digits.onnx", "--batch-sizes", "999999999"], "--batch-sizes"),
        (["benchmark", "digits.onnx", "--threads", "5000"], "--threads"),
        (["benchmark", "digits.onnx", "--scenario", "burst"], "offline"),
        (["benchmark", "digits.onnx", "--rate", "9"], "goes with --scenario server only"),
        (["benchmark", "digits.onnx", "--scenario", "server"], "--latency-ms"),
        (["benchmark", "digits.onnx", "--scenario", "server", "--latency-ms", "nan"], "--latency-ms"),
        (["benchmark", "digits.onnx", "--scenario", "server", "--latency-ms", "9", "--rate", "0"], "--rate"),
        (
            ["benchmark", "digits.onnx", "--scenario", "server", "--latency-ms", "9", "--threads", "1,2"],
            "more than one",
        ),
        (["benchmark", "digits.onnx", "--scenario", "server", "--latency-ms", "9", "--instances", "1,2"], "one number"),
        (["benchmark", "digits.onnx", "--scenario", "single_stream", "--serve-p95-ms", "9"], "offline only"),
        (["benchmark", "digits.onnx", "--scenario", "single_stream", "--duration", "long"], "'long' is no time"),
        (["benchmark", "digits.onnx", "--serve-rate", "9"], "--serve-p95-ms"),
        (["benchmark", "digits.onnx", "--serve-p95-ms", "-1"], "--serve-p95-ms"),
        (["benchmark", "digits.onnx", "--batch-sizes", ",".join(map(str, range(1, 34)))], "--batch-sizes"),
        (["profile", "digits.onnx", "--against-runtime", "openvino"], "without a second model"),
        (["profile", "digits.onnx", "nowhere.onnx"], "there is no file 'nowhere.onnx'"),
        (["profile", "digits.onnx", "--batch-size", "0"], "--batch-size"),
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
    delivered = {"optimized.onnx", "report.html", "report.json", *DELIVERED}
    assert {path.name for path in (folder / "out").iterdir()} == delivered


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


def asked_by(line: str, report: Report) -> dict[str, object]:
    """The body that a command line sends to a server."""
    service = Service(job("succeeded"), report=report.model_dump_json(by_alias=True))
    with scripted(service) as server:
        program, *arguments = shlex.split(line)
        ran = enxuto(*arguments, "--server", server.url, "--json")
    assert (program, ran.err.count("error:")) == ("enxuto", 0), ran.err
    return service.body
