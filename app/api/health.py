"""Whether the service lives, and whether all of its parts do."""

from __future__ import annotations

import os

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.api.answers import answer
from app.api.declare import problems
from app.api.deps import PartsDep
from app.api.schemas import Health, PartState
from app.core.errors import Fault, Unavailable
from app.core.parts import Parts
from app.core.queue import broker_answers
from app.core.records import TenantRecord

router = APIRouter(tags=["health"])


@router.get("/livez", response_model=Health)
async def live(request: Request) -> Response:
    """That the process answers."""
    return answer(request, Health())


@router.get("/readyz", response_model=Health, responses=problems(503))
def ready(request: Request, parts: PartsDep) -> Response:
    """That every part answers: database, blobs and, where one is set, Redis."""
    states = _look(parts)
    if gone := [state.name for state in states if not state.ok]:
        raise Unavailable(
            f"Gone: {', '.join(gone)}.",
            code="not_all_parts_answer",
            hint="Jobs that were accepted are kept, and go on when the part is back.",
            errors=[Fault("part_gone", "It does not answer.", parameter=name) for name in gone],
            headers={"Retry-After": "5"},
        )
    return answer(request, Health(parts=states))


def _look(parts: Parts) -> list[PartState]:
    states = [
        PartState(name="database", ok=_database_answers(parts)),
        PartState(name="blobs", ok=os.access(parts.blobs.folder, os.W_OK | os.X_OK)),
    ]
    if parts.settings.redis_url:
        states.append(PartState(name="redis", ok=broker_answers(parts.settings)))
    return states


def _database_answers(parts: Parts) -> bool:
    try:
        with parts.reading() as session:
            return session.scalar(select(TenantRecord.id).limit(1)) is not None
    except SQLAlchemyError:
        return False
