"""How fast a large file goes in and out of the service, beside what the same disk and processor do alone.

    python -m bench.upload [--gib 1] [--folder FOLDER] [--rounds 3]

Each round writes, hashes, uploads and downloads the same bytes one after the other, so that all of them see the same
machine. Medians over rounds; memory is the highest resident set of the API's process since it started.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.live_service import LiveService, live_service

MiB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=1.0, help="Size of the file.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Folder on the disk to measure; a temporary one by default.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run(Path(folder), round(arguments.gib * (1 << 30)), arguments.rounds)


def run(folder: Path, size: int, rounds: int) -> None:
    source, speeds = folder / "source.onnx", defaultdict[str, list[float]](list)

    @contextmanager
    def timed(what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        speeds[what].append(size / (time.perf_counter() - started) / 1e6)

    with live_service(folder / "service", max_upload_bytes=2 * size) as service:
        service.upload("warm.onnx", b"x")
        before = service.peak_bytes()
        for _ in range(rounds):
            write_random(source, size)  # new bytes each time: the store keeps no bytes twice
            with timed("dd to the disk (fdatasync)"):
                dd(source, folder / "copy")
            with timed("SHA-256 (hashlib)"):
                hash_file(source)
            with timed("upload (hashed, on the disk)"):
                model = upload(service, source)
            with timed("download"):
                download(service, model, size)
        after = service.peak_bytes()
    print(f"{size / (1 << 30):g} GiB, median of {rounds} rounds")
    for what, seen in speeds.items():
        print(f"  {what:<30} {statistics.median(seen):6.0f} MB/s")
    print(f"  API's peak memory: {before / MiB:.0f} MiB before the first, {after / MiB:.0f} MiB after the last")


def write_random(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(0, size, MiB):
            file.write(os.urandom(MiB))


def dd(source: Path, target: Path) -> None:
    command = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fdatasync", "status=none"]
    subprocess.run(command, check=True)


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upload(service: LiveService, source: Path) -> str:
    """Id of the model that the file became."""
    connection = connect(service)
    headers = {"Content-Length": str(source.stat().st_size)}
    with source.open("rb") as file:
        connection.request("POST", "/v1/models?name=source.onnx", body=file, headers=headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    assert answer.status == 201, body
    return str(body["id"])


def download(service: LiveService, model: str, size: int) -> None:
    connection = connect(service)
    connection.request("GET", f"/v1/models/{model}/content")
    answer, buffer, received = connection.getresponse(), bytearray(MiB), 0
    while taken := answer.readinto(buffer):
        received += taken
    assert received == size, f"{received} of {size} bytes came"


def connect(service: LiveService) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(service.url).netloc, blocksize=MiB)


if __name__ == "__main__":
    main()
