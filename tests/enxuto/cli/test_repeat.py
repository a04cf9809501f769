"""The line in a report of a benchmark or a profile asks for the same again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TypeVar

import pytest

from app.api.requests import JobBodyAdapter
from enxuto.render.repeat import repeat_http, repeat_line
from enxuto.report import Report
from enxuto.request import BenchmarkOptions, CompareOptions, ProfileOptions
from enxuto.scenario import Batching, MultiStream, Offline, Server, ServingGoal, SingleStream
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.workload import Workload
from tests.support.command import enxuto
from tests.support.reports import benchmark_report, compare_report, optimize_report, profile_of_two
from tests.support.scripted_server import scripted
from tests.support.scripted_service import Service, job

TUNED = OnnxRuntimeSettings(spinning=False, graph_level="basic", threads=2)
BENCHMARKS = [
    BenchmarkOptions(),
    BenchmarkOptions(
        scenario=Offline(batch_sizes=[1, 2, 4], threads=[1, 2], instances=[1, 2]), settings=[TUNED, OpenVinoSettings()],
        memory_mb=70.5, serving=ServingGoal(p95_ms=10, rate_per_s=300, memory_mb=500, max_batch=16, check_s=5), seed=3,
    ),
    BenchmarkOptions(scenario=SingleStream(duration_s=2.5), workload=Workload(threads=2, dims={"time": 12})),
    BenchmarkOptions(scenario=MultiStream(samples_per_query=4), deadline_s=90.5),
    BenchmarkOptions(
        scenario=Server(
            latency_ms=20, percentile=97.5, rate_per_s=100,
            batching=Batching(max_batch=8, max_delay_ms=1.5, instances=2),
        ),
    ),
]  # fmt: skip
PROFILES = [
    ProfileOptions(),
    ProfileOptions(settings=TUNED, against_settings=OpenVinoSettings(), workload=Workload(batch_size=8), seed=1),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models and data under the names that reports use, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("digits.onnx", "digits-int8.onnx", "evaluation-data.npz", "calibration-data.npz"):
        (tmp_path / name).write_text(name.partition(".")[0])


def asked_by(report: Report) -> dict[str, object]:
    """The body that the line sends to a server."""
    service = Service(job("succeeded"), report=report.model_dump_json(by_alias=True))
    with scripted(service) as server:
        program, *arguments = shlex.split(repeat_line(report))
        ran = enxuto(*arguments, "--server", server.url, "--json")
    assert (program, ran.err.count("error:")) == ("enxuto", 0), ran.err
    return service.body


Options = TypeVar("Options", BenchmarkOptions, ProfileOptions)


def options_in(body: dict[str, object], kind: type[Options]) -> Options:
    given = {name: value for name, value in body.items() if name in kind.model_fields}
    return kind.model_validate_json(json.dumps(given))


@pytest.mark.parametrize("options", BENCHMARKS, ids=range(len(BENCHMARKS)))
def test_of_a_benchmark(options: BenchmarkOptions) -> None:
    body = asked_by(benchmark_report(request=options))
    assert (body["kind"], body["model"]) == ("benchmark", "mdl_digits")
    assert options_in(body, BenchmarkOptions) == options


@pytest.mark.parametrize("options", PROFILES, ids=range(len(PROFILES)))
def test_of_a_profile(options: ProfileOptions) -> None:
    body = asked_by(profile_of_two().model_copy(update={"request": options}))
    assert (body["kind"], body["model"], body["against"]) == ("profile", "mdl_digits-int8", "mdl_digits")
    assert options_in(body, ProfileOptions) == options


@pytest.mark.parametrize(
    "report",
    [
        optimize_report(),
        compare_report(request=CompareOptions(settings=TUNED, against_settings=OpenVinoSettings())),
        *(benchmark_report(request=options) for options in BENCHMARKS),
        *(profile_of_two().model_copy(update={"request": options}) for options in PROFILES),
    ],
    ids=lambda one: one.kind,
)
def test_the_request_to_a_server_asks_for_the_same_again(report: Report) -> None:
    document = repeat_http(report).split("<<'JSON'\n")[1].removesuffix("\nJSON")
    for stand_in, kind in {"MODEL": "mdl", "AGAINST": "mdl", "EVALUATION": "dst", "CALIBRATION": "dst"}.items():
        document = document.replace(f"{stand_in}_ID", f"{kind}_{'0' * 26}")
    body = JobBodyAdapter.validate_json(document)
    request = report.request
    assert type(request)(**{name: getattr(body, name) for name in type(request).model_fields}) == request
