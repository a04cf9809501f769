"""What a search reaches on models of yours: one row a model, as confirmed on samples and loads that chose nothing.

    python -m bench.optimize FOLDER [--minimize latency|size|memory] [--max-drop 0.01] [--only NAME ...]

FOLDER holds one folder a case: ``model.onnx``, ``data/eval.npz`` and, where there is one, ``data/calib.npz``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import enxuto
from enxuto.report import Measurements, OptimizeReport

_ROW = "{:22s} {:12s} {:34s} {:>19s} {:>15s} {:>18s} {:>8s} {:>7s}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minimize", choices=["latency", "size", "memory"], default="latency")
    parser.add_argument("--max-drop", type=float, default=0.01, help="As a share of the original's metric.")
    parser.add_argument("--only", nargs="*", help="Names of cases.")
    arguments = parser.parse_args()
    goal = enxuto.Goal(minimize=arguments.minimize, max_drop=enxuto.MaxDrop(value=arguments.max_drop))
    print(_ROW.format("case", "verdict", "candidate", "speedup", "MB", "drop (bound) %", "SQNR dB", "took s"))
    for case in sorted(path.parent for path in arguments.folder.glob("*/model.onnx")):
        if not arguments.only or case.name in arguments.only:
            print(row(case, goal), flush=True)


def row(case: Path, goal: enxuto.Goal) -> str:
    calibration = case / "data" / "calib.npz"
    started = time.monotonic()
    try:
        report = enxuto.optimize(
            case / "model.onnx",
            case / "data" / "eval.npz",
            goal,
            calibration=calibration if calibration.is_file() else None,
        )
    except enxuto.EnxutoError as error:
        return f"{case.name:22s} {error.code}: {error.detail}"
    return _ROW.format(case.name, report.verdict, *_figures(report), f"{time.monotonic() - started:.0f}")


def _figures(report: OptimizeReport) -> list[str]:
    name = report.winner or report.unproven
    candidate = next((each for each in report.candidates if each.name == name), None)
    if candidate is None or candidate.model is None:
        return [report.why[:34], "", "", "", ""]
    seen = candidate.confirmation or Measurements()
    speed, drop, fidelity = seen.speedup, seen.drop, seen.fidelity
    sqnr = fidelity.sqnr_db if fidelity else None
    return [
        candidate.name,
        f"{speed.value:.2f} [{speed.low:.2f}–{speed.high:.2f}]" if speed else "",
        f"{report.model.size_bytes / 1e6:.3f} → {candidate.model.size_bytes / 1e6:.3f}",
        f"{drop.value * 100:.2f} ({drop.high * 100:.2f})" if drop else "",
        "same" if fidelity and sqnr is None else f"{sqnr:.1f}" if sqnr is not None else "",
    ]


if __name__ == "__main__":
    main()
