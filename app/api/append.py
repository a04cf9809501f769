"""The bytes of one PATCH, on their way to the end of an upload: little of them in memory, those that count on the disk.

They are counted in the row every so often, after they were synced. Bytes with a checksum are counted all at once or
not at all.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.api.tus import Checksum
from app.core import resumable
from app.core.errors import ChecksumMismatch, ServiceError, Stalled, TooLarge
from app.core.growing import Growing
from app.core.parts import Parts
from app.core.records import UploadRecord

_COUNTED_EVERY_BYTES = 32 << 20


class Appending:
    """One request's bytes on their way in."""

    def __init__(self, parts: Parts, record: UploadRecord, file: Growing, checksum: Checksum | None) -> None:
        self._parts = parts
        self._file = file
        self._checksum = checksum
        self._id = record.id
        self._end = parts.settings.max_upload_bytes if record.length_bytes is None else record.length_bytes
        self._written = self._counted = record.offset_bytes

    async def take(self, request: Request) -> None:
        """All of the body. What of it is kept where it breaks off, the row says."""
        try:
            await self._stream(request)
        except (ServiceError, OSError):
            with suppress(OSError):  # the disk may be full
                self._file.cut(self._counted)
            raise
        except ClientDisconnect:  # what came is worth keeping
            if self._checksum is None:
                await run_in_threadpool(self._count)
            raise
        except BaseException:  # this process is told to end, and waits for nothing any more
            if self._checksum is None:
                self._count()
            raise
        if self._checksum and not self._checksum.fits:
            self._file.cut(self._counted)
            raise ChecksumMismatch(
                "The bytes that came do not have the checksum that Upload-Checksum names; none of them were taken.",
                code="checksum_mismatch",
                hint="Send them again from the same offset, with the checksum of just these bytes.",
            )
        await run_in_threadpool(self._count)

    async def _stream(self, request: Request) -> None:
        clock, idle_s = asyncio.get_running_loop(), self._parts.settings.upload_idle_s
        try:
            async with asyncio.timeout(idle_s) as idle:
                async for chunk in request.stream():
                    idle.reschedule(clock.time() + idle_s)
                    self._write(chunk)
                    if self._checksum is None and self._written - self._counted >= _COUNTED_EVERY_BYTES:
                        await run_in_threadpool(self._count)
                        idle.reschedule(clock.time() + idle_s)
        except TimeoutError as error:
            if self._checksum is None:
                await run_in_threadpool(self._count)
            raise Stalled(
                f"No byte came for {idle_s:g} seconds.",
                code="upload_stalled",
                hint="Ask for the offset (HEAD), and go on from there over a connection that holds.",
                headers={"Connection": "close"},
            ) from error

    def _write(self, chunk: bytes) -> None:
        if self._written + len(chunk) > self._end:
            raise beyond_the_end(self._end)
        self._file.write(chunk)
        if self._checksum:
            self._checksum.update(chunk)
        self._written += len(chunk)

    def _count(self) -> None:
        """In this order: the row never promises what a power cut could take."""
        if self._written > self._counted:
            self._file.sync()
            resumable.advance(self._parts, self._id, self._written)
            self._counted = self._written


def beyond_the_end(end_bytes: int) -> TooLarge:
    return TooLarge(
        f"The request's bytes reach beyond the {end_bytes} bytes that this upload may have.",
        code="upload_exceeds_length",
        hint="Send what is left of the file, and nothing after it.",
        headers={"Connection": "close"},
    )
