"""What a plan works on, read from rows that are ready."""

from __future__ import annotations

from app.core.records import DatasetRecord, ModelRecord
from enxuto.signature import DatasetInput, DatasetInspection, ModelInput, ModelInspection


def model_input(record: ModelRecord) -> ModelInput:
    inspection = ModelInspection.model_validate(record.inspection)
    return ModelInput(file=record.gathered or record.sha256, name=record.name, inspection=inspection)


def dataset_input(record: DatasetRecord) -> DatasetInput:
    inspection = DatasetInspection.model_validate(record.inspection)
    return DatasetInput(file=record.sha256, name=record.name, inspection=inspection, arrays=record.arrays or {})
