"""What a job works on, read from its rows."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.core.blobs import Blobs
from app.core.earlier import earlier_job, has_measured, read_report
from app.core.inputs import dataset_input, model_input
from app.core.records import DatasetRecord, Document, ModelRecord
from enxuto.errors import BadInput
from enxuto.report import OptimizeReport
from enxuto.signature import DatasetInput, ModelInput


def load_model(session: Session, tenant: str, id_: str) -> ModelInput:
    record = session.get(ModelRecord, id_)
    if record is None or record.tenant != tenant or record.inspection is None:
        raise BadInput(
            f"The model {id_} was deleted before the job came to it.",
            code="model_gone",
            hint="Upload the model again and submit the job anew.",
        )
    return model_input(record)


def load_dataset(session: Session, tenant: str, id_: str) -> DatasetInput:
    record = session.get(DatasetRecord, id_)
    if record is None or record.tenant != tenant or record.inspection is None:
        raise BadInput(
            f"The dataset {id_} was deleted before the job came to it.",
            code="dataset_gone",
            hint="Upload the dataset again and submit the job anew.",
        )
    return dataset_input(record)


def load_role(session: Session, tenant: str, request: Document, role: str) -> DatasetInput | None:
    """The dataset that the request gives a role to, such as ``evaluation``; None where it gives none."""
    id_ = (request.get("data") or {}).get(role)
    return load_dataset(session, tenant, id_) if id_ else None


def load_earlier(session: Session, blobs: Blobs, tenant: str, id_: str | None) -> OptimizeReport | None:
    """The report that an optimization rests on; None where it rests on none."""
    if id_ is None:
        return None
    job = earlier_job(session, tenant, id_)
    report = read_report(blobs, job.report) if job and job.report and has_measured(job) else None
    if report is None:
        raise BadInput(
            f"The report of {id_} was deleted before the job came to it.",
            code="earlier_gone",
            hint="Submit the job anew without the earlier one: it measures for itself.",
        )
    return report
