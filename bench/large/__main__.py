"""Peak memory of working on a model past 2 GiB, whose weights lie in another file, as a multiple of the model.

    python -m bench.large [--gib 2.5] [--of products] [--folder FOLDER] [--recipe weight_only dynamic_int8 …]
    python -m bench.large --whole size latency [--samples 160] [--deadline-s 900]

A model of random weights of that size is made up in FOLDER (a temporary one by default), inspected, and changed by each
recipe; or, with ``--whole``, a transformer is optimized for each goal, as ``enxuto optimize`` does it. Each step runs
in the sandboxed process that a job would use. Memory is what the largest of them had resident, the pages of mapped
files included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.large.models import make_data, make_products, make_transformer
from bench.large.whole import rows, search

_MAKERS = {
    "products": make_products,
    "narrow": partial(make_products, width=480),
    "transformer": make_transformer,
}
_CHILD = """
import json, resource, sys, time
from enxuto.workbench import workbench
from enxuto.steps import ApplyRecipe
from enxuto.workload import Workload
model, recipe = sys.argv[1], json.loads(sys.argv[2])
with workbench(None) as bench:
    subject = bench.model(model)
    if recipe:
        step = ApplyRecipe.model_validate({"model": subject.file, "recipe": recipe, "calibration": None,
                                           "preprocessing": {}, "seed": 0, "workload": Workload()})
        outcome = bench.runner(step, stop=lambda: False)
        if outcome.status != "done":
            raise SystemExit(outcome.finding.detail)
        print(outcome.result.size_bytes, len(outcome.result.beside_files), end=" ")
    else:
        print(subject.inspection.size_bytes, 1, end=" ")
use = resource.getrusage(resource.RUSAGE_CHILDREN)
print(use.ru_maxrss * 1024, use.ru_utime + use.ru_stime)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=2.5)
    parser.add_argument("--of", choices=_MAKERS, default="products", help="narrow: thousands of weights below 1 MB.")
    parser.add_argument("--folder", type=Path, help="Where the model is made; needs room for it six times.")
    parser.add_argument("--recipe", nargs="*", default=["weight_only", "dynamic_int8", "graph_optimization"])
    parser.add_argument("--whole", nargs="*", choices=["size", "latency"], help="What to search for, instead.")
    parser.add_argument("--samples", type=int, default=160, help="Of the data for --whole; 0: none.")
    parser.add_argument("--deadline-s", type=float, help="Of each search.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        tempfile.tempdir = folder  # for the copies that are worked on
        make = make_transformer if arguments.whole else _MAKERS[arguments.of]
        (place := Path(folder) / "model").mkdir()
        path = make(place, arguments.gib * 2**30)
        size_bytes = sum(each.stat().st_size for each in place.iterdir())
        print(f"{size_bytes / 1e9:.2f} GB in {len(list(place.iterdir()))} files", flush=True)
        if arguments.whole:
            data = make_data(Path(folder) / "data.npz", arguments.samples) if arguments.samples else None
            for goal in arguments.whole:
                print(
                    f"\n{goal}", *rows(search(path, data, goal, arguments.deadline_s), size_bytes), sep="\n", flush=True
                )
            return
        print(f"{'':22s} {'out, GB':>8s} {'files beside':>13s} {'peak ÷ model':>13s} {'CPU s':>7s} {'took s':>7s}")
        for name in ("inspect", *arguments.recipe):
            print(row(name, path, size_bytes), flush=True)


def row(name: str, path: Path, size_bytes: int) -> str:
    recipe = [] if name == "inspect" else [{"kind": name}]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(path), json.dumps(recipe)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"{name:22s} {done.stderr.strip().splitlines()[-1][:160] if done.stderr.strip() else 'failed'}"
    out_bytes, beside, peak_bytes, cpu_s = done.stdout.split()
    return (
        f"{name:22s} {int(out_bytes) / 1e9:8.2f} {beside:>13s} {int(peak_bytes) / size_bytes:12.2f}× "
        f"{float(cpu_s):7.1f} {time.monotonic() - started:7.1f}"
    )


if __name__ == "__main__":
    main()
