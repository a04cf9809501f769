"""What there is to choose from: techniques and targets."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import get_args

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.api.answers import answer
from app.api.declare import unchanged
from app.api.deps import PartsDep, SessionDep
from app.api.schemas import TargetPage, TargetResource, TechniquePage, TechniqueResource
from app.core.database import utc_now
from app.core.records import WorkerRecord
from enxuto.machine import Machine
from enxuto.techniques import AnyTechnique, Technique

router = APIRouter(tags=["catalog"])


@router.get("/techniques", response_model=TechniquePage, responses=unchanged())
def list_techniques(request: Request) -> Response:
    """The transformations that recipes are made of, each with the JSON Schema of its parameters."""
    return answer(request, TechniquePage(items=_techniques(), next_cursor=None))


@router.get("/targets", response_model=TargetPage, responses=unchanged())
def list_targets(request: Request, session: SessionDep, parts: PartsDep) -> Response:
    """The kinds of machine that workers which are alive measure on. A job may name one, or take `any`."""
    return answer(request, TargetPage(items=_targets(session, parts.settings.lease_s), next_cursor=None))


@cache
def _techniques() -> list[TechniqueResource]:
    union, _ = get_args(AnyTechnique)
    return [_technique(technique) for technique in get_args(union)]


def _technique(technique: type[Technique]) -> TechniqueResource:
    return TechniqueResource(
        kind=technique.model_fields["kind"].default,
        summary=inspect.cleandoc(technique.__doc__ or ""),
        lossless=technique.lossless,
        needs_calibration=technique.needs_calibration,
        parameters=technique.model_json_schema(),
    )


def _targets(session: Session, alive_s: float) -> list[TargetResource]:
    alive = select(WorkerRecord).where(WorkerRecord.seen_at > utc_now() - timedelta(seconds=alive_s))
    by_name: dict[str, list[WorkerRecord]] = {}
    for worker in session.scalars(alive.order_by(WorkerRecord.target, WorkerRecord.seen_at)):
        by_name.setdefault(worker.target, []).append(worker)
    return [_target(name, workers) for name, workers in by_name.items()]


def _target(name: str, workers: Sequence[WorkerRecord]) -> TargetResource:
    latest = workers[-1]
    machine = Machine.model_validate(latest.machine)
    return TargetResource(name=name, machine=machine, workers=len(workers), seen_at=latest.seen_at)
