"""Waiting for something to settle: one look at the database every so often, for all who wait in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from app.core import jobs
from app.core.records import DatasetRecord, JobRecord, ModelRecord

_LOOK_EVERY_S = 0.1

Place = tuple[str, str]
"""Tenant and id."""


class Watch:
    """Knows who waits for what. A thing that is not there, or not the tenant's, has nothing to be waited for."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._settled: dict[Place, asyncio.Event] = {}
        self._waiting: dict[Place, int] = {}
        self._looking: asyncio.Task[None] | None = None

    async def until_settled(self, tenant: str, id_: str, wait_s: float) -> None:
        """Return when a model or dataset is no longer inspected, when a job has ended, or when time is up."""
        place = (tenant, id_)
        if wait_s <= 0:
            return
        settled = self._settled.setdefault(place, asyncio.Event())
        self._waiting[place] = self._waiting.get(place, 0) + 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(wait_s):
                await settled.wait()
        except TimeoutError:
            return
        finally:
            self._leave(place)

    def release(self) -> None:
        """Let everybody go: the service is about to stop."""
        for settled in self._settled.values():
            settled.set()

    def _leave(self, place: Place) -> None:
        self._waiting[place] -= 1
        if self._waiting[place] == 0:
            del self._waiting[place]
            self._settled.pop(place, None)

    async def _look(self) -> None:
        while self._settled:
            places = list(self._settled)
            busy = await run_in_threadpool(self._busy, [id_ for _, id_ in places])
            for place in places:
                if place not in busy and (settled := self._settled.get(place)):
                    settled.set()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _busy(self, ids: Collection[str]) -> set[Place]:
        """Those that have not settled."""
        with self._sessions() as session:
            found: set[Place] = set()
            for record in (ModelRecord, DatasetRecord):
                inspecting = select(record.tenant, record.id).where(record.id.in_(ids), record.state == "inspecting")
                found.update((tenant, id_) for tenant, id_ in session.execute(inspecting))
            active = JobRecord.state.in_(jobs.ACTIVE)
            running = select(JobRecord.tenant, JobRecord.id).where(JobRecord.id.in_(ids), active)
            found.update((tenant, id_) for tenant, id_ in session.execute(running))
            return found
