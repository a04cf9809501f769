"""Whatever is killed while a job runs, it ends once and repeats no step that was done."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.database import fresh_database
from tests.support.processes import is_alive, wait_for
from tests.support.service import Service, running_service
from tests.support.tiny_models import convnet

RECIPE = [{"kind": "dynamic_int8"}]
ITS_TURN_S = 120
"""Measuring steps wait for each other on a host, and other tests measure too."""


@contextmanager
def hasty_service(folder: Path, workers: int = 1) -> Iterator[Service]:
    with (
        fresh_database(folder / "data") as settings,
        running_service(folder, workers=workers, lease_s=2, sweep_s=0.5, database_url=settings.database) as service,
    ):
        yield service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with hasty_service(tmp_path) as service:
        yield service


def start_job(service: Service, **body: object) -> str:
    """A job of some seconds and many short steps, of which the first is done."""
    model = service.upload("tiny.onnx", convnet().SerializeToString())
    assert model["state"] == "ready", model
    job = service.submit(**{"kind": "optimize", "model": model["id"], "recipe": RECIPE, "deadline_s": 8, **body})
    wait_for(lambda: "step" in service.events(job))
    return job


def after_a_while(longest_s: float = 3) -> None:
    pause_s = random.uniform(0, longest_s)  # noqa: S311 - any moment will do
    print(f"slept {pause_s:.2f} s")  # for the record of a test that fails
    time.sleep(pause_s)


def assert_ended_well_and_once(service: Service, job: str) -> None:
    assert service.wait(job)["state"] == "succeeded"
    assert service.ends(job) == ["succeeded"]
    assert service.events(job).count("step") == service.steps(job), "a step was done twice"


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_parts_around_the_worker_may_die_one_after_the_other(service: Service) -> None:
    job = start_job(service)
    parts = ["redis", "api", "sweep"]
    random.shuffle(parts)
    before = {part: service.pids(part) for part in parts}
    for part in parts:
        after_a_while(1)
        kill(before[part])
    assert_ended_well_and_once(service, job)
    for part in parts:
        wait_for(lambda part=part: bool(service.pids(part)))
        assert set(service.pids(part)).isdisjoint(before[part])


def test_a_job_whose_worker_is_killed_is_taken_up_where_it_was(service: Service) -> None:
    job = start_job(service)
    after_a_while()
    kill(service.pids("worker"))
    assert_ended_well_and_once(service, job)
    assert service.record(job).attempt <= 2


def test_a_killed_step_is_tried_once_more_and_the_job_ends_once(service: Service) -> None:
    job = start_job(service)
    wait_for(lambda: bool(service.step_pids()))
    kill(service.step_pids())
    assert_ended_well_and_once(service, job)


def test_everything_dies_with_the_supervisor_and_the_next_start_takes_the_job_up(service: Service) -> None:
    job = start_job(service)
    after_a_while()
    everything = service.all_pids()
    kill([service.process.pid])
    service.process.wait()
    wait_for(lambda: not any(map(is_alive, everything)))
    assert not service.ends(job)
    service.start()
    assert_ended_well_and_once(service, job)


def test_a_clean_stop_gives_the_job_back_and_the_next_start_goes_on_with_it(service: Service) -> None:
    job = start_job(service)
    everything = service.all_pids()
    assert service.stop() == 0
    assert not any(map(is_alive, everything))
    assert service.record(job).state == "queued"
    assert service.events(job)[-1] == "released"
    service.start()
    assert_ended_well_and_once(service, job)
    assert service.record(job).attempt == 2


def test_a_cancelled_search_ends_soon_with_the_best_so_far(service: Service) -> None:
    job = start_job(service, recipe=None, goal={"minimize": "size", "max_drop": None}, deadline_s=None)
    wait_for(lambda: service.events(job).count("step") >= 6)
    service.http.post(f"/v1/jobs/{job}/cancel").raise_for_status()
    asked = time.monotonic()
    ended = service.wait(job)
    assert ended["state"] == "cancelled"
    assert time.monotonic() - asked < 6  # two seconds on a machine that does nothing else
    assert ended["result"]["candidates"]
    assert service.ends(job) == ["cancelled"]
    assert service.http.get(f"/v1/jobs/{job}/report").is_success


def test_a_benchmark_whose_worker_is_killed_repeats_no_point(service: Service) -> None:
    model = service.upload("tiny.onnx", convnet().SerializeToString())
    scenario = {"kind": "offline", "batch_sizes": [1, 2, 4]}
    job = service.submit(
        kind="benchmark", model=model["id"], scenario=scenario, settings=[{"runtime": "onnxruntime"}]
    )  # fmt: skip
    wait_for(lambda: service.events(job).count("step") >= 3, ITS_TURN_S)
    before = service.outcomes(job)
    kill(service.pids("worker"))
    assert_ended_well_and_once(service, job)
    assert service.record(job).attempt == 2
    after = service.outcomes(job)
    assert {key: after[key] for key in before} == before, "what was measured stays as it was measured"
    points = service.http.get(f"/v1/jobs/{job}").json()["result"]["points"]
    assert [(point["batch_size"], point["outcome"]) for point in points] == [(n, "measured") for n in (1, 2, 4)]


def test_a_cancelled_benchmark_keeps_the_points_measured_so_far(service: Service) -> None:
    model = service.upload("tiny.onnx", convnet().SerializeToString())
    job = service.submit(
        kind="benchmark", model=model["id"], scenario={"kind": "offline", "batch_sizes": [*range(1, 33)]},
        settings=[{"runtime": "onnxruntime"}],
    )  # fmt: skip
    wait_for(lambda: service.events(job).count("step") >= 2, ITS_TURN_S)
    service.http.post(f"/v1/jobs/{job}/cancel").raise_for_status()
    ended = service.wait(job)
    assert (ended["state"], ended["result"]["stopped"]) == ("cancelled", "cancelled")
    assert 1 <= sum(point["outcome"] == "measured" for point in ended["result"]["points"]) < 32
    assert service.ends(job) == ["cancelled"]
    files = service.http.get(f"/v1/jobs/{job}/files").json()["items"]
    assert "onnxruntime-batch-1-threads-1-instances-1-load-1.npz" in {file["name"] for file in files}


def test_a_worker_that_wakes_after_its_lease_ran_out_changes_nothing(tmp_path: Path) -> None:
    with hasty_service(tmp_path, workers=2) as service:
        job = start_job(service)
        asleep = int((service.record(job).worker or "").rpartition(":")[2])
        service.put_to_sleep(asleep)
        wait_for(lambda: service.record(job).attempt == 2)
        os.kill(asleep, signal.SIGCONT)
        assert_ended_well_and_once(service, job)
        assert is_alive(asleep)
        assert service.events(job).count("lost") == 1
