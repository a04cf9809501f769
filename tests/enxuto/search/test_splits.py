"""What calibrates does not choose, and what chooses does not prove; rows of a pair play one role together."""

from __future__ import annotations

import pytest

from enxuto.errors import BadInput
from enxuto.search.splits import all_samples, count, split_samples
from enxuto.signature import ArraySpec, DatasetInput, DatasetInspection


def dataset(rows: int, labels: int | None = None, name: str = "a") -> DatasetInput:
    def array(called: str, length: int) -> ArraySpec:
        return ArraySpec(name=called, dtype="float32", shape=[length, 3], size_bytes=1, file=f"{called}.npy")

    inspection = DatasetInspection(
        format="npz",
        arrays=[array("x", rows)],
        labels=None if labels is None else array("labels", labels),
        label_kind=None if labels is None else "float",
        count=rows,
        size_bytes=1,
    )
    return DatasetInput(
        file=name * 64, name="d.npz", inspection=inspection, arrays={"x.npy": "b" * 64, "labels.npy": "c" * 64}
    )


@pytest.mark.parametrize("labels", [None, 100])
def test_roles_share_no_sample_and_leave_none_out(labels: int | None) -> None:
    splits = split_samples(dataset(100, labels), None, seed=0)
    roles = [role for role in (splits.calibration, splits.selection, splits.confirmation) if role]
    assert [role.start for role in roles] == [0, *(role.stop for role in roles[:2])]
    assert roles[2].stop == 100
    assert {role.group for role in roles} == {1}


@pytest.mark.parametrize("pairs", [5, 7, 51, 1379, 10_001])
def test_rows_of_a_pair_stay_together(pairs: int) -> None:
    splits = split_samples(dataset(2 * pairs, pairs), None, seed=0)
    roles = [splits.calibration, splits.selection, splits.confirmation]
    assert all(role is not None and role.group == 2 for role in roles)
    assert all(role.start % 2 == role.stop % 2 == 0 for role in roles if role)
    assert sum(count(role) for role in roles) == 2 * pairs
    assert count(splits.calibration) <= 512
    assert min(count(splits.selection), count(splits.confirmation)) >= 4


def test_too_few_pairs_are_told_as_pairs() -> None:
    with pytest.raises(BadInput, match=r"has 4 pair\(s\)"):
        split_samples(dataset(8, 4), None, seed=0)


def test_all_of_a_dataset_of_pairs_is_read_in_pairs() -> None:
    whole = all_samples(dataset(20, 10), seed=3)
    assert (whole.start, whole.stop, whole.group) == (0, 20, 2)


def test_a_calibration_dataset_of_its_own_leaves_all_others_to_judge() -> None:
    splits = split_samples(dataset(20, 10), dataset(1000, 500, "d"), seed=0)
    assert splits.calibration is not None
    assert (count(splits.calibration), splits.calibration.group) == (512, 2)
    assert count(splits.selection) + count(splits.confirmation) == 20
