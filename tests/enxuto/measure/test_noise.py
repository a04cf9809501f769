"""What else went on is read from the kernel, or said to be unknown."""

from pathlib import Path

import pytest

from enxuto.measure import noise
from enxuto.measure.noise import NoiseWatch


def serve(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    monkeypatch.setattr(noise, "_read", lambda path: files.get(str(path)))


def stat(user: int, idle: int, steal: int) -> str:
    return f"cpu  {user} 0 0 {idle} 0 0 0 {steal} 99 99\ncpu0 1 0 0 1 0 0 0 0 0 0\n"


def test_stolen_time_is_a_share_of_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {"/proc/stat": stat(100, 100, 5)})
    watch = NoiseWatch.begin()
    serve(monkeypatch, {"/proc/stat": stat(140, 150, 15)})
    assert watch.end().steal_share == pytest.approx(0.1)


def test_pressure_is_the_share_of_time_that_something_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    monkeypatch.setattr(noise.time, "monotonic", iter([10.0, 12.0]).__next__)
    serve(monkeypatch, {"/proc/pressure/cpu": line.format(1_000_000)})
    watch = NoiseWatch.begin()
    serve(monkeypatch, {"/proc/pressure/cpu": line.format(1_500_000)})
    assert watch.end().pressure_share == pytest.approx(0.25)


def test_what_the_box_hides_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {})
    found = NoiseWatch.begin().end()
    assert (found.load_1m, found.steal_share, found.pressure_share) == (None, None, None)


def test_a_file_that_may_not_be_read_is_hidden() -> None:
    assert noise._read(Path("/proc/this-is-not-there")) is None


def test_this_machine_says_how_loaded_it_is() -> None:
    found = NoiseWatch.begin().end()
    assert found.load_1m is not None
    assert found.steal_share is None or 0 <= found.steal_share <= 1
