"""Uploads over several requests (tus 1.0.0): no byte is lost that was counted, and none counted that was not sent."""

from __future__ import annotations

import base64
import hashlib
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select

from app.api import append
from app.api.tus import state_headers
from app.core import growing, resumable
from app.core.blobs import Blobs
from app.core.database import make_engine, sessions, utc_now
from app.core.parts import Parts, open_parts
from app.core.records import BlobUse, TenantRecord, UploadRecord
from app.core.settings import Settings
from tests.support.live_service import LiveService, live_service
from workers.sweep import Sweep

TUS = {"Tus-Resumable": "1.0.0"}


def begin(http: httpx.Client, size: int | None, **headers: str) -> str:
    length = {"Upload-Defer-Length": "1"} if size is None else {"Upload-Length": str(size)}
    answer = http.post("/v1/uploads", headers={**TUS, **length, **headers})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def send(http: httpx.Client, place: str, data: bytes | Iterator[bytes], offset: int, **headers: str) -> httpx.Response:
    fixed = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return http.patch(place, content=data, headers={**fixed, **headers})


def offset_of(http: httpx.Client, place: str) -> int:
    answer = http.head(place, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


def checksum(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to be")


def test_a_file_comes_in_over_several_requests(service: LiveService) -> None:
    data, http = os.urandom(300_001), service.http
    place = begin(http, len(data))
    for start in range(0, len(data), 100_000):
        assert offset_of(http, place) == start
        answer = send(http, place, data[start : start + 100_000], start)
        assert (answer.status_code, answer.content) == (204, b"")
        assert int(answer.headers["upload-offset"]) == min(start + 100_000, len(data))
    seen = http.get(place).json()
    assert (seen["sha256"], seen["offset_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert service.blobs().path(seen["sha256"]).read_bytes() == data


def test_what_is_understood_is_told(http: httpx.Client) -> None:
    told = http.options("/v1/uploads").headers
    assert told["tus-version"] == "1.0.0"
    assert {"creation", "checksum", "expiration", "termination"} <= set(told["tus-extension"].split(","))
    assert told["tus-checksum-algorithm"] == "sha1,sha256"
    assert int(told["tus-max-size"]) == Settings.model_fields["max_upload_bytes"].default


def test_where_an_upload_stands_is_told_and_never_cached(http: httpx.Client) -> None:
    place = begin(http, 10, **{"Upload-Metadata": "filename bS5vbm54,kind"})
    told = http.head(place, headers=TUS).headers
    assert (told["upload-offset"], told["upload-length"]) == ("0", "10")
    assert told["upload-metadata"] == "filename bS5vbm54,kind"
    assert told["cache-control"] == "no-store"
    assert parsedate_to_datetime(told["upload-expires"]) > utc_now() + timedelta(hours=23)
    assert http.get(place).json()["metadata"] == {"filename": "m.onnx", "kind": ""}
    assert f"/v1/uploads/{http.get('/v1/uploads').json()['items'][0]['id']}" == place


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("version", [None, "0.2.2"])
def test_another_version_of_the_protocol_is_refused(http: httpx.Client, method: str, version: str | None) -> None:
    place = begin(http, 10)
    answer = http.request(method, place, headers={"Tus-Resumable": version} if version else {})
    assert answer.status_code == 412
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert offset_of(http, place) == 0


def test_a_client_without_patch_and_delete_may_say_what_it_means(http: httpx.Client) -> None:
    place, data = begin(http, 5), b"12345"
    headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = http.post(place, content=data, headers={**headers, "X-HTTP-Method-Override": "PATCH"})
    assert answer.status_code == 204
    assert http.post(place, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert http.head(place, headers=TUS).status_code == 404


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (400, "tus_header_invalid")),
        ({"Upload-Length": "-1"}, (400, "tus_header_invalid")),
        ({"Upload-Length": "1e3"}, (400, "tus_header_invalid")),
        ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, (400, "tus_header_invalid")),
        ({"Upload-Defer-Length": "2"}, (400, "tus_header_invalid")),
        ({"Upload-Length": str(1 << 50)}, (413, "upload_too_large")),
        ({"Upload-Length": "5", "Upload-Metadata": "a b!"}, (400, "tus_header_invalid")),
        ({"Upload-Length": "5", "Upload-Metadata": "a YQ==,a YQ=="}, (400, "tus_header_invalid")),
        ({"Upload-Length": "5", "Upload-Metadata": "a " + "A" * 5000}, (400, "tus_header_invalid")),
    ],
)
def test_what_cannot_be_begun_is_refused(http: httpx.Client, headers: dict[str, str], expected: object) -> None:
    assert problem(http.post("/v1/uploads", headers={**TUS, **headers})) == expected


def test_bytes_that_do_not_go_on_where_it_ends_are_refused(http: httpx.Client) -> None:
    place = begin(http, 10)
    assert send(http, place, b"12345", 0).status_code == 204
    for offset in (0, 4, 6):
        answer = send(http, place, b"67890", offset)
        assert problem(answer) == (409, "offset_mismatch")
        assert answer.headers["upload-offset"] == "5"
    assert problem(send(http, place, b"", 5, **{"Upload-Offset": "x"})) == (400, "tus_header_invalid")
    assert problem(http.patch(place, content=b"6", headers={**TUS, "Upload-Offset": "5"})) == (
        415,
        "unsupported_media_type",
    )
    assert offset_of(http, place) == 5


def test_more_than_was_announced_is_refused(service: LiveService) -> None:
    place = begin(service.http, 10)
    assert problem(send(service.http, place, b"x" * 11, 0)) == (413, "upload_exceeds_length")
    assert problem(send(service.http, place, iter([b"x" * 8, b"x" * 8]), 0)) == (413, "upload_exceeds_length")
    assert offset_of(service.http, place) == 0
    assert send(service.http, place, b"1234567890", 0).status_code == 204
    for more in (b"x", iter([b"x"])):
        assert problem(send(service.http, place, more, 10)) == (413, "upload_exceeds_length")
    assert send(service.http, place, b"", 10).status_code == 204
    assert service.holds(b"1234567890")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_bytes_with_another_checksum_are_not_taken(http: httpx.Client, algorithm: str) -> None:
    place, data = begin(http, 100_000), os.urandom(100_000)
    wrong = {"Upload-Checksum": checksum(b"something else", algorithm)}
    assert problem(send(http, place, data, 0, **wrong)) == (460, "checksum_mismatch")
    assert offset_of(http, place) == 0
    right = {"Upload-Checksum": checksum(data[:60_000], algorithm)}
    assert send(http, place, data[:60_000], 0, **right).status_code == 204
    assert problem(send(http, place, data[60_000:], 60_000, **wrong)) == (460, "checksum_mismatch")
    assert send(http, place, data[60_000:], 60_000).status_code == 204
    assert http.get(place).json()["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("given", ["md5 AAAA", "sha256", "sha256 AAAA", "sha1 !", "crc32 AAAA"])
def test_a_checksum_that_is_none_is_refused(http: httpx.Client, given: str) -> None:
    place = begin(http, 5)
    assert problem(send(http, place, b"12345", 0, **{"Upload-Checksum": given})) == (400, "tus_header_invalid")
    assert offset_of(http, place) == 0


def test_the_length_may_come_later_and_once(http: httpx.Client) -> None:
    place = begin(http, None)
    assert http.head(place, headers=TUS).headers["upload-defer-length"] == "1"
    assert send(http, place, b"123", 0).status_code == 204
    assert problem(send(http, place, b"", 3, **{"Upload-Length": "2"})) == (400, "tus_header_invalid")
    assert send(http, place, b"45", 3, **{"Upload-Length": "6"}).status_code == 204
    assert problem(send(http, place, b"6", 5, **{"Upload-Length": "7"})) == (400, "tus_header_invalid")
    assert send(http, place, b"6", 5).status_code == 204
    assert http.get(place).json()["sha256"] == hashlib.sha256(b"123456").hexdigest()


def test_a_file_without_bytes_is_whole_once_it_is_begun(http: httpx.Client) -> None:
    place = begin(http, 0)
    assert problem(send(http, place, b"x", 0)) == (413, "upload_exceeds_length")
    assert send(http, place, b"", 0).status_code == 204
    assert http.get(place).json()["sha256"] == hashlib.sha256(b"").hexdigest()


def test_an_upload_that_is_deleted_is_gone_with_its_bytes(service: LiveService) -> None:
    before = service.files()
    place = begin(service.http, 10)
    send(service.http, place, b"12345", 0)
    assert service.files() != before
    assert service.http.delete(place, headers=TUS).status_code == 204
    assert service.files() == before
    for method in ("HEAD", "PATCH", "DELETE"):
        assert service.http.request(method, place, headers=TUS).status_code == 404


def test_an_upload_of_another_tenant_is_as_if_there_were_none(service: LiveService) -> None:
    place = begin(service.http, 10)
    change(service.settings, place, tenant=other_tenant(service.settings))
    for method in ("HEAD", "GET", "PATCH", "DELETE"):
        assert service.http.request(method, place, headers=TUS).status_code == 404
    assert place not in [f"/v1/uploads/{one['id']}" for one in service.http.get("/v1/uploads").json()["items"]]


def test_a_connection_that_breaks_leaves_what_came(service: LiveService) -> None:
    place, data = begin(service.http, 200_000), os.urandom(200_000)
    with connection(service) as broken:
        broken.sendall(patch_head(place, 0, len(data)) + data[:120_000])
        wait_until(lambda: size_of(service, place) > 0)
    wait_until(lambda: offset_of(service.http, place) > 0)
    have = offset_of(service.http, place)
    assert 0 < have <= 120_000
    wait_until(lambda: send(service.http, place, b"", have).status_code == 204)
    assert send(service.http, place, data[have:], have).status_code == 204
    assert service.http.get(place).json()["sha256"] == hashlib.sha256(data).hexdigest()


def test_one_request_writes_at_a_time(service: LiveService) -> None:
    place = begin(service.http, 200_000)
    with connection(service) as slow:
        slow.sendall(patch_head(place, 0, 200_000) + b"x" * 100_000)
        wait_until(lambda: size_of(service, place) > 0)
        refused = send(service.http, place, b"y", 0)
        assert problem(refused) == (423, "upload_locked")
        assert refused.json()["retryable"] is True
        assert problem(service.http.delete(place, headers=TUS)) == (423, "upload_locked")


def test_a_service_that_is_killed_in_the_middle_keeps_what_it_counted(tmp_path: Path) -> None:
    counted = append._COUNTED_EVERY_BYTES
    data = os.urandom(counted + (6 << 20))
    with live_service(tmp_path) as service:
        place = begin(service.http, len(data))
        with connection(service) as broken:
            broken.sendall(patch_head(place, 0, len(data)) + data[:-1000])
            wait_until(lambda: size_of(service, place) > counted + (1 << 20))  # nothing goes on before they are counted
            service.process.send_signal(signal.SIGKILL)
            service.process.wait()
        assert size_of(service, place) > counted  # bytes that the row does not count
        with live_service(tmp_path, database_url=service.settings.database) as again:
            have = offset_of(again.http, place)
            assert counted <= have < len(data) - 1000
            assert send(again.http, place, data[have:], have).status_code == 204
            assert again.http.get(place).json()["sha256"] == hashlib.sha256(data).hexdigest()


def test_memory_stays_flat_while_a_large_upload_comes_in(tmp_path: Path) -> None:
    piece = os.urandom(1 << 20)
    with live_service(tmp_path) as service:
        send(service.http, begin(service.http, 5), b"12345", 0)
        before = service.peak_bytes()
        place = begin(service.http, 128 << 20)
        assert send(service.http, place, (piece for _ in range(128)), 0).status_code == 204
        assert service.http.get(place).json()["sha256"] == hashlib.sha256(piece * 128).hexdigest()
        assert service.peak_bytes() - before < 24 << 20


def test_a_client_that_stops_sending_is_told_so_and_goes_on_later(tmp_path: Path) -> None:
    with live_service(tmp_path, upload_idle_s=0.5) as service:
        place = begin(service.http, 1000)
        with connection(service) as slow:
            slow.sendall(patch_head(place, 0, 1000) + b"x" * 600)
            assert slow.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert offset_of(service.http, place) == 600
        assert send(service.http, place, b"x" * 400, 600).status_code == 204


def test_too_many_uploads_are_refused_until_one_is_deleted(tmp_path: Path) -> None:
    with live_service(tmp_path, max_uploads=2) as service:
        first, _ = begin(service.http, 5), begin(service.http, 5)
        answer = service.http.post("/v1/uploads", headers={**TUS, "Upload-Length": "5"})
        assert problem(answer) == (429, "too_many_uploads")
        assert "retry-after" in answer.headers
        service.http.delete(first, headers=TUS)
        begin(service.http, 5)


def test_a_full_disk_is_a_problem_and_leaves_what_was_counted(tmp_path: Path) -> None:
    with live_service(tmp_path, prefix=["prlimit", "--fsize=4000000"]) as service:
        place = begin(service.http, 5_000_000)
        assert send(service.http, place, b"x" * 1000, 0).status_code == 204
        assert problem(send(service.http, place, os.urandom(4_999_000), 1000)) == (507, "storage_full")
        assert offset_of(service.http, place) == 1000
        assert size_of(service, place) == 1000


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = open_parts(Settings(data_dir=tmp_path, upload_keep_s=3600))
    yield parts
    parts.engine.dispose()


def written(parts: Parts, data: bytes, size: int) -> UploadRecord:
    record = resumable.create(parts, "default", size, "")
    with growing.growing(parts.blobs, record.id) as file:
        file.cut(0)
        file.write(data)
        file.sync()
        return resumable.advance(parts, record.id, len(data))


def test_what_expires_is_swept_away_and_what_is_written_to_is_not(parts: Parts) -> None:
    kept, expired, busy = (written(parts, b"12345", 10) for _ in range(3))
    for each in (expired, busy):
        change(parts.settings, each.id, expires_at=utc_now() - timedelta(seconds=1))
    with growing.growing(parts.blobs, busy.id):
        Sweep(parts).clean()
    assert {path.name for path in parts.blobs.growing.iterdir()} == {kept.id, busy.id}
    Sweep(parts).clean()
    assert {path.name for path in parts.blobs.growing.iterdir()} == {kept.id}
    with parts.reading() as session:
        assert [row.id for row in session.scalars(select(UploadRecord))] == [kept.id]


def test_a_file_whose_row_is_gone_is_swept_away(parts: Parts) -> None:
    stray = written(parts, b"12345", 10)
    with parts.writing.begin() as session:
        session.delete(session.get_one(UploadRecord, stray.id))
    Sweep(parts).clean()
    assert list(parts.blobs.growing.iterdir()) == []


@pytest.mark.parametrize("counted", [False, True], ids=["before the row", "before the blob"])
def test_a_crash_at_the_end_is_made_good(parts: Parts, monkeypatch: pytest.MonkeyPatch, counted: bool) -> None:
    record = written(parts, b"1234567890", 10)
    if counted:  # the row names the blob, and then the process is gone
        monkeypatch.setattr(growing.Growing, "keep", lambda self, digest: None)
        resumable.settle(parts, record)
        monkeypatch.undo()
        assert not Blobs(parts.settings).holds(hashlib.sha256(b"1234567890").hexdigest())
    digest = resumable.settle(parts, resumable.find(parts, "default", record.id))
    assert parts.blobs.path(digest).read_bytes() == b"1234567890"
    with parts.reading() as session:
        assert session.scalars(select(BlobUse.sha256).where(BlobUse.owner == record.id)).all() == [digest]
    assert list(parts.blobs.growing.iterdir()) == []


def test_a_crash_before_the_blob_is_there_leaves_a_file_that_is_opened_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = written(parts, b"1234567890", 10)

    def crash(self: Blobs, path: Path, digest: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Blobs, "put_in_place", crash)
    with pytest.raises(KeyboardInterrupt):
        resumable.settle(parts, record)
    monkeypatch.undo()
    assert (parts.blobs.growing / record.id).stat().st_mode & 0o200, "who is not root writes to no read-only file"
    digest = resumable.settle(parts, record)
    assert parts.blobs.path(digest).stat().st_mode & 0o777 == 0o400


def test_who_comes_second_to_finish_an_upload_has_its_bytes_too(parts: Parts) -> None:
    seen_by_both = written(parts, b"1234567890", 10)
    first = resumable.settle(parts, seen_by_both)
    assert resumable.settle(parts, seen_by_both) == first
    assert list(parts.blobs.growing.iterdir()) == []


def test_bytes_that_go_on_after_an_upload_was_found_overdue_keep_it(parts: Parts) -> None:
    record = written(parts, b"12345", 10)
    change(parts.settings, record.id, expires_at=utc_now() - timedelta(seconds=1))
    assert resumable.overdue(parts).expired == [record.id]
    resumable.advance(parts, record.id, 5)  # of a request that began before
    assert not resumable.remove_overdue(parts, record.id)
    assert resumable.find(parts, "default", record.id).offset_bytes == 5
    assert (parts.blobs.growing / record.id).read_bytes() == b"12345"


def test_bytes_on_their_way_into_a_model_outlive_their_upload(parts: Parts) -> None:
    record = written(parts, b"1234567890", 10)
    settled = parts.blobs.path(resumable.settle(parts, record)).stat().st_ctime
    time.sleep(0.3)  # a blob's age cannot be set
    digest = resumable.settle(parts, resumable.find(parts, "default", record.id))
    resumable.remove(parts, record.id)
    parts.blobs.delete(digest, older_than_s=time.time() - settled)  # as the sweep does, of what nobody asked for since
    assert parts.blobs.holds(digest)


def test_a_file_is_cut_though_the_disk_has_no_room_for_what_waits_to_be_written(parts: Parts) -> None:
    record = written(parts, b"12345", 10)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with suppress(OSError), growing.growing(parts.blobs, record.id) as file:
        file.cut(5)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, unlimited[1]))
        try:
            file.write(b"67890")
            with pytest.raises(OSError, match="File too large"):
                file.sync()
            with suppress(OSError):
                file.cut(5)
            assert (parts.blobs.growing / record.id).read_bytes() == b"12345"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def test_when_it_expires_is_told_in_universal_time_whatever_zone_the_database_speaks_in(parts: Parts) -> None:
    record = written(parts, b"12345", 10)
    record.expires_at = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert state_headers(record)["Upload-Expires"] == "Thu, 01 Jan 2026 10:00:00 GMT"


def change(settings: Settings, place: str, **values: object) -> None:
    engine = make_engine(settings)
    with sessions(engine).begin() as session:
        row = session.get_one(UploadRecord, place.rpartition("/")[2])
        for name, value in values.items():
            setattr(row, name, value)
    engine.dispose()


def other_tenant(settings: Settings) -> str:
    engine = make_engine(settings)
    with sessions(engine).begin() as session:
        if session.get(TenantRecord, "other") is None:
            session.add(TenantRecord(id="other", created_at=utc_now()))
    engine.dispose()
    return "other"


def size_of(service: LiveService, place: str) -> int:
    path = service.blobs().growing / place.rpartition("/")[2]
    return path.stat().st_size if path.exists() else 0


def connection(service: LiveService) -> socket.socket:
    where = urlsplit(service.url)
    return socket.create_connection((where.hostname, where.port), timeout=10)


def patch_head(place: str, offset: int, length: int) -> bytes:
    headers = {
        "Host": "localhost",
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(length),
        "Upload-Offset": str(offset),
        **TUS,
    }
    lines = [f"PATCH {place} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
