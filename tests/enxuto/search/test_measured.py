from __future__ import annotations

from enxuto.report import Candidate, Measurements, ModelRef
from enxuto.search.measured import _groups
from enxuto.settings import OnnxRuntimeSettings

_MB, _GB = 10**6, 10**9


def candidates(*sizes: int) -> list[Candidate]:
    return [
        Candidate(
            name=str(position),
            recipe=[],
            model=ModelRef(sha256=f"{position:064x}", size_bytes=size),
            settings=OnnxRuntimeSettings(),
            outcome="feasible",
            selection=Measurements(),
        )
        for position, size in enumerate(sizes)
    ]


def sizes_of_groups(sizes: list[int], original_bytes: int) -> list[int]:
    return [len(group) for group in _groups(candidates(*sizes), original_bytes)]


def test_small_candidates_are_timed_together() -> None:
    assert sizes_of_groups([_MB] * 10, 4 * _MB) == [8, 2]


def test_candidates_that_would_crowd_memory_are_timed_in_several_groups() -> None:
    assert sizes_of_groups([400 * _MB] * 3, 900 * _MB) == [2, 1]


def test_beside_an_original_that_is_large_by_itself_each_is_timed_alone() -> None:
    assert sizes_of_groups([50 * _MB] * 3, 2 * _GB) == [1, 1, 1]
