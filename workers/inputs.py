"""What a job works on, read from its rows."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from app.core.records import DatasetRecord, Document, ModelRecord
from enxuto.errors import BadInput
from enxuto.signature import DatasetInput, DatasetInspection, ModelInput, ModelInspection


def load_model(session: Session, tenant: str, id_: str) -> ModelInput:
    record = session.get(ModelRecord, id_)
    if record is None or record.tenant != tenant or record.inspection is None:
        raise BadInput(
            f"The model {id_} was deleted before the job came to it.",
            code="model_gone",
            hint="Upload the model again and submit the job anew.",
        )
    inspection = ModelInspection.model_validate_json(json.dumps(record.inspection))
    return ModelInput(file=record.sha256, name=record.name, inspection=inspection)


def load_dataset(session: Session, tenant: str, id_: str) -> DatasetInput:
    record = session.get(DatasetRecord, id_)
    if record is None or record.tenant != tenant or record.inspection is None:
        raise BadInput(
            f"The dataset {id_} was deleted before the job came to it.",
            code="dataset_gone",
            hint="Upload the dataset again and submit the job anew.",
        )
    inspection = DatasetInspection.model_validate_json(json.dumps(record.inspection))
    return DatasetInput(file=record.sha256, name=record.name, inspection=inspection, arrays=record.arrays or {})


def load_role(session: Session, tenant: str, request: Document, role: str) -> DatasetInput | None:
    """The dataset that the request gives a role to, such as ``evaluation``; None where it gives none."""
    id_ = (request.get("data") or {}).get(role)
    return load_dataset(session, tenant, id_) if id_ else None
