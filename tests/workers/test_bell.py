"""Every worker hears the bell, and nobody waits for one that cannot be rung."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Consumer

from app.core.queue import bell_queue, broker_answers, ring
from app.core.settings import Settings
from tests.support.processes import wait_for
from workers.embedded_redis import EmbeddedRedis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Settings]:
    embedded = EmbeddedRedis(tmp_path)
    part = embedded.part()
    process = subprocess.Popen(part.command, stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(part.stdin)
    process.stdin.close()
    settings = Settings(data_dir=tmp_path, redis_url=embedded.url)
    wait_for(lambda: broker_answers(settings))
    yield settings
    process.terminate()
    process.wait()
    embedded.clear()


def test_all_that_listen_hear_every_bell(redis: Settings) -> None:
    heard: list[tuple[str, str]] = []

    def listener(name: str, connection: Connection) -> Consumer:
        def hear(body: list[dict[str, str]], message: object) -> None:
            heard.append((name, body[1]["lane"]))

        return Consumer(connection, queues=[bell_queue()], callbacks=[hear], no_ack=True, accept=["json"])

    def listen(connection: Connection) -> None:
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=0.2)

    with (
        Connection(redis.redis_url) as one,
        Connection(redis.redis_url) as other,
        listener("one", one),
        listener("other", other),
    ):
        listen(one), listen(other)
        ring(redis, "work", "any")
        wait_for(lambda: bool(listen(one) or listen(other) or len(heard) >= 2))
    assert sorted(heard) == [("one", "work"), ("other", "work")]


def test_ringing_takes_no_time_where_no_broker_answers() -> None:
    gone = Settings(redis_url="redis://127.0.0.1:1/0")
    started = time.monotonic()
    for _ in range(20):
        ring(gone, "work", "any")
    assert time.monotonic() - started < 1.0
    assert not broker_answers(gone)


def test_without_a_redis_there_is_nothing_to_ring() -> None:
    ring(Settings(), "work", "any")
    assert not broker_answers(Settings())


def test_a_folder_with_a_long_name_has_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    embedded = EmbeddedRedis(deep)
    socket = Path(embedded.url.removeprefix("redis+socket://"))
    assert len(str(socket)) < 100
    assert socket.parent.stat().st_mode & 0o077 == 0
    embedded.clear()
    assert not socket.parent.exists()
