"""Which samples play which role: what calibrates does not choose, and what chooses does not prove."""

from __future__ import annotations

from dataclasses import dataclass

from enxuto.errors import BadInput
from enxuto.report import Splits
from enxuto.signature import DatasetInput
from enxuto.steps import Samples

_MOST_FOR_CALIBRATION = 512
_CALIBRATION_SHARE = 0.15
_SELECTION_SHARE = 0.2
_FEWEST_JUDGED = 2
"""One sample carries no interval."""
_FEWEST = 1 + 2 * _FEWEST_JUDGED


@dataclass(frozen=True)
class SampleSplits:
    """Disjoint parts of the data; None where there is no data for that role."""

    calibration: Samples | None
    selection: Samples | None
    confirmation: Samples | None

    @property
    def counts(self) -> Splits:
        return Splits(
            calibration=count(self.calibration),
            selection=count(self.selection),
            confirmation=count(self.confirmation),
        )


def count(samples: Samples | None) -> int:
    return samples.stop - samples.start if samples else 0


def all_samples(dataset: DatasetInput, seed: int) -> Samples:
    return _part(dataset, 0, dataset.inspection.count, seed)


def split_samples(evaluation: DatasetInput | None, calibration: DatasetInput | None, seed: int) -> SampleSplits:
    """Split the evaluation dataset by seed; a calibration dataset of its own leaves all of it to choose and prove."""
    if calibration is not None and evaluation is not None and calibration.file == evaluation.file:
        calibration = None
    own = None
    if calibration is not None:
        most = _MOST_FOR_CALIBRATION // _group(calibration) * _group(calibration)
        own = _part(calibration, 0, min(calibration.inspection.count, most), seed)
    if evaluation is None:
        return SampleSplits(own, None, None)
    group = _group(evaluation)
    total = evaluation.inspection.count // group
    if total < _FEWEST:
        what = "sample(s)" if group == 1 else "pair(s)"
        raise BadInput(
            f"The evaluation dataset '{evaluation.name}' has {total} {what}; at least {_FEWEST} are needed to "
            "calibrate, to choose and to prove on different ones.",
            code="too_few_samples",
            hint="Send more samples: several hundred let an accuracy limit of 1 % be proven.",
        )
    calibrating = 0 if own else max(1, min(round(total * _CALIBRATION_SHARE), _MOST_FOR_CALIBRATION // group))
    selecting = max(_FEWEST_JUDGED, round((total - calibrating) * _SELECTION_SHARE))
    first, second = calibrating * group, (calibrating + selecting) * group
    return SampleSplits(
        calibration=own or _part(evaluation, 0, first, seed),
        selection=_part(evaluation, first, second, seed),
        confirmation=_part(evaluation, second, total * group, seed),
    )


def _group(dataset: DatasetInput) -> int:
    """Two rows make a sample where labels are a half as many: neither may calibrate while the other proves."""
    labels = dataset.inspection.labels
    return 2 if labels and labels.shape[0] * 2 == dataset.inspection.count else 1


def _part(dataset: DatasetInput, start: int, stop: int, seed: int) -> Samples:
    inspection = dataset.inspection
    return Samples(
        arrays={array.name: dataset.arrays[array.file] for array in inspection.arrays},
        labels=dataset.arrays[inspection.labels.file] if inspection.labels else None,
        count=inspection.count,
        start=start,
        stop=stop,
        seed=seed,
        group=_group(dataset),
    )
