"""How close each method with a name comes to somebody else's code for it, on real models.

    python -m bench.references FOLDER [--only CASE ...] [--method NAME ...] --python PYTHON --sources CLONES

FOLDER holds one folder a case: ``model.onnx``, ``data/calib.npz``, ``data/eval.npz``, and ``enxuto.json`` where samples
want preprocessing, as for ``bench.ahead``. PYTHON is an interpreter with what ``bench/references/requirements.txt``
lists. CLONES holds projects that are no packages; one that is missing is named with the command that clones it.

Prints a table: method, reference with its version or commit, case, agreement. A reference that is not there is said to
be so, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType

from bench.ahead.cases import find_cases
from bench.references import bias, cross_layer, gptq, histograms, hqq, smooth_quant, squant, squared_error
from bench.references.case import Real, real
from bench.references.place import NotThere, Place
from bench.references.table import Row, table

METHODS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (bias, cross_layer, gptq, histograms, hqq, smooth_quant, squant, squared_error)
}


def main() -> int:
    given = _arguments()
    place = Place(given.python.absolute(), given.sources.absolute())
    rows: list[Row] = []
    missing = 0
    for case in find_cases(given.folder, given.settings, given.only):
        found = real(case, given.samples)
        for name in given.method:
            module = METHODS[name]
            if not module.suits(found.model):
                continue
            print(f"{case.name}: {module.METHOD}", file=sys.stderr, flush=True)
            try:
                new = _rows(module, found, place)
            except NotThere as reason:
                missing += 1
                new = [Row(module.METHOD, module.REFERENCE.project, case.name, f"not there: {reason}")]
            for row in new:
                print(f"    {row.agreement}", file=sys.stderr, flush=True)
            rows += new
    print(table(rows))
    return 1 if missing else 0


def _rows(module: ModuleType, found: Real, place: Place) -> list[Row]:
    version = place.version(module.REFERENCE)
    reference = f"{module.REFERENCE.project} {version}"
    return [Row(module.METHOD, reference, found.name, agreement) for agreement in module.compare(found, place)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench.references", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", metavar="CASE")
    parser.add_argument("--method", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="where references are installed")
    parser.add_argument("--sources", type=Path, default=Path("references"), help="a folder with clones of them")
    parser.add_argument("--settings", type=Path, help="a folder with CASE.json each")
    parser.add_argument("--samples", type=int, default=128, help="to calibrate on, and as many others to judge by")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
