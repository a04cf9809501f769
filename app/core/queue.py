"""The bell: tells workers over Celery that there is work, and no more.

The rows are the truth, so a bell that is lost or rung twice does no harm: the sweep rings again while rows wait. It
goes to all workers at once, since one that is busy would keep it from one that is idle.
"""

from __future__ import annotations

import queue
import threading
from functools import cache

import structlog
from celery import Celery
from kombu.common import Broadcast
from kombu.connection import Connection
from kombu.entity import Exchange
from kombu.exceptions import OperationalError

from app.core.settings import Settings

TASK = "enxuto.bell"
_BELL = Exchange("enxuto.bell", type="fanout", durable=False)
_ROUTING_KEY = "bell"
_TIMEOUTS = {"socket_connect_timeout": 1.0, "socket_timeout": 2.0, "max_retries": 0}

_log = structlog.get_logger(__name__)


def bell_queue() -> Broadcast:
    """A queue of one's own that hears every bell."""
    return Broadcast("enxuto.bell", exchange=_BELL, routing_key=_ROUTING_KEY)


def ring(settings: Settings, lane: str, target: str) -> None:
    """Tell workers that there is work; to be called after the commit. Returns at once, broker or not."""
    if settings.redis_url:
        _ringer(settings.redis_url).ring(lane, target)


def broker_answers(settings: Settings) -> bool:
    """Whether the bell can be rung just now; waits two seconds at most."""
    if not settings.redis_url:
        return False
    try:
        with Connection(settings.redis_url, transport_options=_TIMEOUTS) as connection:
            connection.ensure_connection(max_retries=0)
    except OperationalError:
        return False
    return True


class _Ringer(threading.Thread):
    """Rings from a thread of its own, so that nobody waits for a broker that is gone."""

    def __init__(self, url: str) -> None:
        super().__init__(name="ringer", daemon=True)
        self._celery = Celery("enxuto", broker=url, set_as_current=False)
        self._celery.conf.update(task_ignore_result=True, broker_transport_options=_TIMEOUTS, task_serializer="json")
        self._queue = bell_queue()
        self._bells: queue.Queue[tuple[str, str]] = queue.Queue(maxsize=32)

    def ring(self, lane: str, target: str) -> None:
        try:
            self._bells.put_nowait((lane, target))
        except queue.Full:
            _log.warning("bell_dropped", lane=lane, target=target)

    def run(self) -> None:
        while True:
            lane, target = self._bells.get()
            try:
                self._send(lane, target)
            except Exception as error:  # noqa: BLE001 - the sweep rings again, so this thread must live
                _log.warning("bell_not_rung", lane=lane, target=target, error=str(error))

    def _send(self, lane: str, target: str) -> None:
        bell = {"lane": lane, "target": target}
        self._celery.send_task(
            TASK, kwargs=bell, queue=self._queue, routing_key=_ROUTING_KEY, declare=[_BELL], retry=False
        )


@cache
def _ringer(url: str) -> _Ringer:
    ringer = _Ringer(url)
    ringer.start()
    return ringer
