"""Peaks are remembered for their machine and threads, and whatever is wrong with the file, they are measured anew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from enxuto.known_peaks import KnownPeaks
from tests.support.reports import profile_report

PEAKS = profile_report().peaks


def test_peaks_are_known_for_their_machine_and_threads_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "peaks.json"
    KnownPeaks(file).put("a" * 64, PEAKS)
    KnownPeaks(file).put("b" * 64, PEAKS.model_copy(update={"threads": 2}))
    assert KnownPeaks(file).get("a" * 64, PEAKS.threads) == PEAKS
    assert KnownPeaks(file).get("a" * 64, 2) is None
    assert KnownPeaks(file).get("b" * 64, PEAKS.threads) is None
    assert [path.name for path in file.parent.iterdir()] == ["peaks.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": 3}', b"\xff\xfe", b'{"x": {"threads": "1"}}'])
def test_a_file_that_cannot_be_read_counts_as_empty_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "peaks.json"
    file.write_bytes(content)
    known = KnownPeaks(file)
    assert known.get("a" * 64, PEAKS.threads) is None
    known.put("a" * 64, PEAKS)
    assert known.get("a" * 64, PEAKS.threads) == PEAKS


def test_peaks_that_claim_another_number_of_threads_are_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "peaks.json"
    KnownPeaks(file).put("a" * 64, PEAKS)
    file.write_text(file.read_text().replace(f"{'a' * 64}:{PEAKS.threads}", f"{'a' * 64}:8"))
    assert KnownPeaks(file).get("a" * 64, 8) is None


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    known = KnownPeaks(tmp_path / "file" / "peaks.json")
    known.put("a" * 64, PEAKS)
    assert known.get("a" * 64, PEAKS.threads) is None


def test_the_file_is_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    KnownPeaks().put("a" * 64, PEAKS)
    assert (tmp_path / "enxuto" / "peaks.json").is_file()
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    KnownPeaks().put("a" * 64, PEAKS)
    assert (tmp_path / "home" / ".cache" / "enxuto" / "peaks.json").is_file()


def test_programs_that_write_at_the_same_time_leave_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "peaks.json"
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(KnownPeaks(file).put, f"{n:064x}", PEAKS) for n in range(40)]:
            done.result()
    assert any(KnownPeaks(file).get(f"{n:064x}", PEAKS.threads) == PEAKS for n in range(40))
