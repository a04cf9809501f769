"""Whether we are ahead: our models of each case beside those of every peer that is installed, in one run.

    python -m bench.ahead FOLDER [--only CASE ...] [--peers ENVIRONMENTS] [--batches 1 8 32 64] [--work FOLDER]

FOLDER holds one folder a case: ``model.onnx``, ``data/eval.npz``, ``data/calib.npz`` where there is one, and
``enxuto.json`` where defaults do not do: metric, preprocessing and workload in a request's form. ``--settings`` names a
folder of such files, one a case. ``python -m bench.peers install ENVIRONMENTS`` installs the peers.

Ratios are to the FP32 model under onnxruntime's defaults, one thread, paired in blocks of random order within a
process, at most eight models each, over fresh loads; beside each stands how far its loads were apart. Where wall and
processor time disagree, marked by !, a neighbor took the core and the lower ratio stands. Drops are on
samples that neither calibrated nor chose, with the upper bound of their interval. ``--work`` keeps what peers made for
the next run, and with ``--keep`` what we made. JSON goes to ``--out``. Exit status 1 where one of the bar's cells is
not held.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.ahead.cases import Case, find_cases
from bench.ahead.make import Kitchen, Made, key_of
from bench.ahead.measure import Judge, Row, spread
from bench.ahead.runner import Workplace
from bench.ahead.table import Cell, cells, table
from enxuto.execution.measuring import host_lock
from enxuto.machine import this_machine

_FEWEST_LOADS = 2
_METHODS = ["latency", "size", "throughput-32", "static_int8", "dynamic_int8"]


def main() -> int:
    given = _arguments()
    print(f"{this_machine().processor}, one thread, {given.loads} loads of {given.rounds} rounds")
    done: list[dict[str, object]] = []
    missed = 0
    for case in find_cases(given.folder, given.settings, given.only):
        with tempfile.TemporaryDirectory() as scratch:
            for original, rows in _measured(case, given, Path(scratch)):
                judged = cells(case.name, original, rows)
                document = _document(case, original, rows, judged)
                if given.out:  # after each batch size: what was measured until then is not lost
                    given.out.write_text(json.dumps([*done, document], indent=1), encoding="utf-8")
        done.append(document)
        missed += sum(cell.held is False for cell in judged)
        batches = sorted({batch for row in rows for batch in row.timed})
        print("\n" + table(case.name, original, rows, batches or [1]))
        print("\n".join(cell.line() for cell in judged), flush=True)
    return 1 if missed else 0


def _measured(case: Case, given: argparse.Namespace, scratch: Path) -> Iterator[tuple[Row, list[Row]]]:
    """The original and all others, after each batch size."""
    judge = Judge(Workplace(scratch, host_lock()), case, given.samples)
    made: list[Made] = []
    folder = (given.work or scratch) / key_of(case)
    folder.mkdir(parents=True, exist_ok=True)
    kitchen = Kitchen(folder, case, judge.model.inspection)
    mine = kitchen.mine(given.ours, again=not given.keep)
    for each in itertools.chain(mine, kitchen.peers(given.peers) if given.peers else ()):
        made.append(each)
        _say(case, f"{each.name}: {each.note or 'made'} ({each.cpu_s:.1f} s CPU)")
    rows = judge.rows(made)
    for row in rows:
        if not row.reason:
            _say(case, f"judging {row.name} ({row.runtime})")
            judge.evaluate(row)
    for batch in [1] if judge.batch_is_fixed else given.batches:
        for word in judge.time(rows, batch, given.loads, given.rounds):
            _say(case, word)
        yield judge.original, rows


def _say(case: Case, words: str) -> None:
    print(f"{case.name}: {words}", file=sys.stderr, flush=True)


def _document(case: Case, original: Row, rows: Sequence[Row], judged: Sequence[Cell]) -> dict[str, object]:
    return {
        "case": case.name,
        "size_bytes": original.size_bytes,
        "metric": original.evaluation.metric_value if original.evaluation else None,
        "rows": [_row(row) for row in rows],
        "cells": [asdict(cell) for cell in judged],
    }


def _row(row: Row) -> dict[str, object]:
    evaluation, made = row.evaluation, row.made
    return {
        "name": row.name,
        "runtime": row.runtime,
        "settings": row.subject.settings.model_dump(mode="json"),
        "size_bytes": row.size_bytes,
        "drop": evaluation.drop.model_dump(mode="json") if evaluation and evaluation.drop else None,
        "sqnr_db": evaluation.fidelity.sqnr_db if evaluation and evaluation.fidelity else None,
        "speedup": {
            batch: {
                **timed.speedup.model_dump(),
                "spread": spread(timed),
                "loads": timed.ratios,
                "cpu": timed.cpu_speedup.value,
            }
            for batch, timed in row.timed.items()
        },
        "cpu_s": made.cpu_s if made else None,
        "peak_bytes": made.peak_bytes if made else None,
        "note": row.reason or (made.note if made else ""),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench.ahead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", metavar="CASE")
    parser.add_argument("--settings", type=Path, help="a folder with CASE.json each")
    parser.add_argument("--peers", type=Path, help="a folder with their environments; without it, we stand alone")
    parser.add_argument(
        "--ours",
        nargs="*",
        default=_METHODS,
        metavar="METHOD",
        help="goals (latency, size, throughput-BATCH), techniques to be applied alone",
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32, 64])
    parser.add_argument("--loads", type=int, default=6, help="fresh loads of each group of models, two at least")
    parser.add_argument("--rounds", type=int, default=20, help="quiet blocks of each model in a load")
    parser.add_argument("--samples", type=int, help="judge by at most so many of those that prove, for a quick look")
    parser.add_argument("--work", type=Path, help="keep here what was made; what peers made before is used again")
    parser.add_argument("--keep", action="store_true", help="use ours again too where --work has them: only time them")
    parser.add_argument("--out", type=Path, help="the same as JSON")
    given = parser.parse_args()
    if given.loads < _FEWEST_LOADS:
        parser.error(f"--loads {given.loads}: what lies between loads takes {_FEWEST_LOADS} of them")
    return given


if __name__ == "__main__":
    sys.exit(main())
