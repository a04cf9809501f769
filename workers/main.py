"""The worker: ``celery -A workers.main worker``.

Celery only carries the bell. Its pool runs nothing but the moment that it takes to wake a lane, so nothing that Celery
does with messages (acknowledge, redeliver, time out) can touch a job. Nothing heavy is imported here: models are opened
by the steps' processes alone.
"""

from __future__ import annotations

from celery import Celery, signals

from app.core.jobs import Lane
from app.core.logs import configure_logging
from app.core.queue import TASK, bell_queue
from app.core.settings import get_settings
from workers.lanes import TARGETS, LaneThread
from workers.parts import Parts

LANES: tuple[Lane, ...] = ("inspect", "work")

app = Celery("enxuto", broker=get_settings().redis_url)
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

_lanes: dict[str, LaneThread] = {}


def bell(lane: str, target: str) -> None:
    """There may be work."""
    if target in TARGETS and lane in _lanes:
        _lanes[lane].ring()


def set_up_logging(**_: object) -> None:
    configure_logging(get_settings().log_level)


def start_lanes(**_: object) -> None:
    parts = Parts(get_settings())
    for lane in LANES:
        _lanes[lane] = LaneThread(parts, lane)
        _lanes[lane].start()


def stop_lanes(**_: object) -> None:
    """Give running jobs back, so that another worker takes them up at once."""
    for thread in _lanes.values():
        thread.stop()
    for thread in _lanes.values():
        thread.join()


app.task(name=TASK)(bell)
signals.setup_logging.connect(set_up_logging)
signals.worker_init.connect(start_lanes)
signals.worker_shutdown.connect(stop_lanes)
