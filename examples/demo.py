"""`make demo`: starts the whole service, sends it a real network, and brings home a leaner one with the proof.

Everything goes the way that a user's commands go: `enxuto up`, `enxuto optimize --server …`, and then the model that
came back in a process that knows nothing of Enxuto. Results are left in `demo-output/`.
"""

from __future__ import annotations

import json
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DIGITS = Path(__file__).parent / "digits"
OUTPUT = Path("demo-output")
ENXUTO = Path(sys.executable).parent / "enxuto"
START_S = 60
STOP_S = 30


def main() -> int:
    started = time.monotonic()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    try:
        with tempfile.TemporaryDirectory(prefix="enxuto-demo-") as folder, service(Path(folder)) as url:
            optimize(url)
        run_elsewhere(OUTPUT / "optimized.onnx")
        tell_verdict()
    except DemoFailed as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    print(f"Everything is stopped again. It took {time.monotonic() - started:.0f} s.")
    return 0


class DemoFailed(Exception):
    """Why, in a sentence for people."""


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """The whole service on a free loopback port, its data in a folder; yields its URL and stops it in the end."""
    command = ["up", "--host", "127.0.0.1", "--port", "0", "--data-dir", str(folder / "data"), "--workers", "1"]
    say(f"enxuto {' '.join(command)}")
    log = folder / "service.log"
    with log.open("w") as errors:
        process = subprocess.Popen([ENXUTO, *command], stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        url = wait_for_url(process)
        print(f"The service listens on {url}")
        yield url
    except DemoFailed as failure:
        raise DemoFailed(f"{failure}\nThe service's log ends with:\n{tail(log)}") from failure
    finally:
        stop(process)


def wait_for_url(process: subprocess.Popen[str]) -> str:
    """Read what the service prints until it says where it listens; what it says later is read and dropped."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=forward, args=(process, lines), daemon=True).start()
    deadline = time.monotonic() + START_S
    while (left := deadline - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if line is None:
            raise DemoFailed(f"`enxuto up` ended with exit code {process.wait()} before it was ready.")
        if url := re.search(r"https?://\S+", line):
            return url.group().rstrip(".,")
    raise DemoFailed(f"`enxuto up` was not ready within {START_S} s.")


def forward(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    if process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise DemoFailed(f"`enxuto up` did not stop within {STOP_S} s.") from None


def optimize(url: str) -> None:
    arguments = [
        "optimize", str(DIGITS / "digits.onnx"),
        "--data", str(DIGITS / "evaluation.npz"), "--calibration", str(DIGITS / "calibration.npz"),
        "--preprocessing", str(DIGITS / "preprocessing.json"),
        "--minimize", "latency", "--max-drop", "1%", "--server", url, "-o", str(OUTPUT),
    ]  # fmt: skip
    say(f"enxuto {' '.join(arguments)}")
    run([str(ENXUTO), *arguments], "the job did not succeed")


def run_elsewhere(model: Path) -> None:
    command = [sys.executable, str(DIGITS / "run.py"), str(model)]
    say(" ".join(["python", *command[1:]]))
    run(command, "the optimized model does not run in plain ONNX Runtime")


def tell_verdict() -> None:
    report = json.loads((OUTPUT / "report.json").read_text(encoding="utf-8"))
    print(f"\nVerdict: {report['verdict']}. {report['why']}")
    print(f"The model is in {OUTPUT}/optimized.onnx, the proof in {OUTPUT}/report.html.")


def run(command: list[str], failure: str) -> None:
    ended = subprocess.run(command)
    if ended.returncode:
        raise DemoFailed(f"{failure} (exit code {ended.returncode}).")


def say(command: str) -> None:
    print(f"\n$ {command}", flush=True)


def tail(log: Path, lines: int = 20) -> str:
    """The last lines that tell of more than calls that went well."""
    told = [
        line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if '"event": "call"' not in line
    ]
    return "\n".join(told[-lines:])


if __name__ == "__main__":
    sys.exit(main())
