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
        own = _part(calibration, 0, min(calibration.inspection.count, _MOST_FOR_CALIBRATION), seed)
    if evaluation is None:
        return SampleSplits(own, None, None)
    total = evaluation.inspection.count
    if total < _FEWEST:
        raise BadInput(
            f"The evaluation dataset '{evaluation.name}' has {total} sample(s); at least {_FEWEST} are needed to "
            "calibrate, to choose and to prove on different ones.",
            code="too_few_samples",
            hint="Send more samples: several hundred let an accuracy limit of 1 % be proven.",
        )
    calibrating = 0 if own else max(1, min(round(total * _CALIBRATION_SHARE), _MOST_FOR_CALIBRATION))
    selecting = max(_FEWEST_JUDGED, round((total - calibrating) * _SELECTION_SHARE))
    return SampleSplits(
        calibration=own or _part(evaluation, 0, calibrating, seed),
        selection=_part(evaluation, calibrating, calibrating + selecting, seed),
        confirmation=_part(evaluation, calibrating + selecting, total, seed),
    )


def _part(dataset: DatasetInput, start: int, stop: int, seed: int) -> Samples:
    inspection = dataset.inspection
    return Samples(
        arrays={array.name: dataset.arrays[array.file] for array in inspection.arrays},
        labels=dataset.arrays[inspection.labels.file] if inspection.labels else None,
        count=inspection.count,
        start=start,
        stop=stop,
        seed=seed,
    )
