"""The worker: ``celery -A workers.main worker``.

Celery only carries the bell. Its pool runs nothing but the moment that it takes to wake a lane, so nothing that Celery
does with messages (acknowledge, redeliver, time out) can touch a job. Nothing heavy is imported here: models are opened
by the steps' processes alone.
"""

from __future__ import annotations

import logging
import os
import socket
import traceback
import warnings

from celery import Celery, signals
from celery.platforms import SecurityWarning

from app.core.jobs import Lane
from app.core.logs import configure_logging
from app.core.parts import parts_or_exit
from app.core.queue import TASK, bell_queue
from app.core.settings import Settings, get_settings, settings_or_exit
from enxuto.machine import this_machine
from workers.lanes import LaneThread
from workers.presence import Presence, target_name

LANES: tuple[Lane, ...] = ("inspect", "work")

warnings.simplefilter("ignore", SecurityWarning)  # root is dangerous with pickle; here only JSON is accepted

app = Celery("enxuto", broker=settings_or_exit().redis_url)
app.conf.update(
    task_queues=[bell_queue()],
    worker_pool="solo",
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
)

_targets = ("any", target_name(this_machine()))
_lanes: dict[str, LaneThread] = {}
_presence: list[Presence] = []


def bell(lane: str, target: str) -> None:
    """There may be work."""
    if target in _targets and lane in _lanes:
        _lanes[lane].ring()


def set_up_logging(**_: object) -> None:
    configure_logging(get_settings().log_level)
    for name in ("celery.worker.strategy", "celery.app.trace"):  # a line each time the bell rings
        logging.getLogger(name).setLevel(logging.WARNING)


def start(**_: object) -> None:
    """What fails here must end the process: after an exception Celery goes on, ready for work that it never does."""
    try:
        _start(get_settings())
    except Exception as error:
        raise SystemExit("".join(traceback.format_exception(error))) from error


def _start(settings: Settings) -> None:
    if not settings.redis_url:
        raise SystemExit("enxuto: a worker needs ENXUTO_REDIS_URL, the Redis that the API rings the bell on")
    parts = parts_or_exit(settings)
    worker = f"{socket.gethostname()}:{os.getpid()}"
    _lanes.update({lane: LaneThread(parts, lane, worker, _targets) for lane in LANES})
    _presence.append(Presence(parts, worker))
    for thread in (*_lanes.values(), *_presence):
        thread.start()


def stop(**_: object) -> None:
    """Give running jobs back, so that another worker takes them up at once."""
    threads: list[LaneThread | Presence] = [*_lanes.values(), *_presence]
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.join()


app.task(name=TASK)(bell)
signals.setup_logging.connect(set_up_logging)
signals.worker_init.connect(start)
signals.worker_shutdown.connect(stop)
