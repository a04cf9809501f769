"""Where one attempt at a job is worked on: runs plans, each step in a process of its own, under the lease."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar

from app.core import leases
from app.core.leases import Lease
from app.core.parts import Parts
from app.core.settings import Settings
from enxuto.execution.drive import Control, drive
from enxuto.execution.limits import Limits
from enxuto.execution.measuring import host_lock
from enxuto.execution.process import StepRunner
from enxuto.machine import this_machine
from enxuto.schema import Digest
from enxuto.search.plan import Plan
from workers.journal import DatabaseJournal
from workers.pulse import Pulse

T = TypeVar("T")


class Bench:
    def __init__(self, parts: Parts, lease: Lease, pulse: Pulse, stopping: threading.Event) -> None:
        self.parts = parts
        self.lease = lease
        self._pulse = pulse
        self._stopping = stopping
        self._journal = DatabaseJournal(parts, lease)
        self._run_step = step_runner(parts)

    def search(self, plan: Plan[T]) -> T:
        """Run what a user may cancel and a deadline may end."""
        return self._drive(
            plan,
            Control(
                cancelled=lambda: self._pulse.cancelled,
                interrupted=self._interrupted,
                progress=self._pulse.show,
                deadline_s=self.lease.request.get("deadline_s"),
                spent_s=self.lease.spent_s,
            ),
        )

    def complete(self, plan: Plan[T]) -> T:
        """Run what a job still needs for its ending, be it cancelled or late."""
        return self._drive(plan, Control(interrupted=self._interrupted, progress=self._pulse.show))

    def complete_all(self, plans: Sequence[Plan[T]]) -> list[T]:
        """Likewise, side by side: somebody who cancelled is waiting."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ends = [pool.submit(copy_context().run, self.complete, plan) for plan in plans]
            return [end.result() for end in ends]

    def keep(self, digests: set[Digest]) -> None:
        """Keep blobs from being swept away while the job runs, whoever deletes what they belong to."""
        with self.parts.writing.begin() as session:
            leases.use_blobs(session, self.lease, digests)

    def _drive(self, plan: Plan[T], control: Control) -> T:
        machine = this_machine().fingerprint
        return drive(plan, self._run_step, machine=machine, journal=self._journal, control=control)

    def _interrupted(self) -> bool:
        return self._pulse.lost or self._stopping.is_set()


def step_runner(parts: Parts) -> StepRunner:
    settings = parts.settings
    scratch = scratch_folder(settings)
    scratch.mkdir(parents=True, exist_ok=True)
    limits = Limits(
        memory_bytes=settings.step_memory_mb * 10**6,
        time_s=settings.step_time_s,
        scratch_bytes=settings.step_disk_mb * 10**6,
    )
    return StepRunner(parts.blobs, scratch=scratch, limits=limits, measuring_lock=host_lock())


def scratch_folder(settings: Settings) -> Path:
    return settings.data_dir.absolute() / "scratch"
