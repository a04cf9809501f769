"""What the light processes cost: seconds to import and resident memory, each in fresh interpreters.

    python -m bench.startup [ROUNDS]

Median over rounds that take turns; the bare interpreter stands beside them in the same run, and its time is part of
each of the others.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

PROCESSES = {
    "bare interpreter": "pass",
    "command line (enxuto.cli)": "import enxuto.cli",
    "API (app.main)": "import app.main; app.main.create_app()",
    "worker (workers.main)": "import workers.main",
    "sweep (workers.sweep)": "import workers.sweep",
    "a step's process, empty": "import enxuto.steps, enxuto.execution.perform, enxuto.execution.sandbox",
    "a step with onnxruntime": "import enxuto.judge.evaluate",
}
_PRINT_MEMORY = "\nprint([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')][0])"


def measure(program: str) -> tuple[float, float]:
    """Seconds of wall time, and resident megabytes when it is done."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program + _PRINT_MEMORY], capture_output=True, text=True, check=True)
    return time.perf_counter() - started, int(done.stdout.split()[-1]) * 1024 / 1e6


def main(rounds: int) -> None:
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in PROCESSES}
    for _ in range(rounds):
        for name, program in PROCESSES.items():
            seen[name].append(measure(program))
    print(f"{'process':28s} {'median s':>9s} {'spread s':>15s} {'resident MB':>12s}")
    for name, figures in seen.items():
        seconds = [each[0] for each in figures]
        memory = statistics.median(each[1] for each in figures)
        spread = f"{min(seconds):.2f}–{max(seconds):.2f}"
        print(f"{name:28s} {statistics.median(seconds):9.2f} {spread:>15s} {memory:12.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
