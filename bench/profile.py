"""Where the time of a model goes, node by node, beside what this machine can do; two models with node groups matched.

python bench/profile.py MODEL [OTHER] [--runtime onnxruntime] [--other-runtime openvino] [--threads 1] [--batch-size 1]
    [--dim sequence=128] [--rows 25]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner
from enxuto.machine import this_machine
from enxuto.report import MatchedGroup, Node, ProfiledModel
from enxuto.request import ProfileOptions
from enxuto.search.inspect import inspect_model
from enxuto.search.profile import profile
from enxuto.settings import DEFAULT_SETTINGS
from enxuto.signature import ModelInput
from enxuto.steps import Peaks
from enxuto.workload import Workload

NODE = "{:>8} {:>6} {:>9} {:>8} {:>8} {:>8} {:>6} {:<8} {:<20} {}"
OPERATOR = "{:>8} {:>6} {:>6} {:>9} {:>9} {:>6}  {}"
GROUP = "{:>8} {:>8} {:>8}  {:<36} {} | {}"


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        files = FolderFiles(Path(folder) / "files")
        run = StepRunner(files, scratch=Path(folder) / "scratch")
        journal, machine = MemoryJournal(), this_machine()

        def inspected(path: Path) -> ModelInput:
            plan = inspect_model(files.add(path), path.name)
            return drive(plan, run, machine="here", journal=journal, control=Control())

        request = ProfileOptions(
            workload=Workload(batch_size=arguments.batch_size, threads=arguments.threads, dims=dict(arguments.dim)),
            settings=DEFAULT_SETTINGS[arguments.runtime],
            against_settings=DEFAULT_SETTINGS[arguments.other_runtime],
        )
        other = inspected(arguments.other) if arguments.other else None
        plan = profile(request, inspected(arguments.model), other, None, machine, None)
        report = drive(plan, run, machine="here", journal=journal, control=Control())
    print(f"{machine.processor}, {arguments.threads} thread(s), {report.elapsed_s:.1f} s in steps\n{report.why}\n")
    _show_peaks(report.peaks)
    _show_model(report.profile, arguments.rows)
    if report.against:
        _show_model(report.against, arguments.rows)
        _show_groups(report.groups, arguments.rows)


def _show_peaks(peaks: Peaks) -> None:
    cached = ", ".join(f"{each.size_bytes >> 10} KiB {each.gb_s:.0f}" for each in peaks.cached)
    print(f"peaks: {peaks.fp32_gflops:.0f} GFLOP/s FP32, {peaks.int8_gops:.0f} GOP/s INT8")
    print(f"       {peaks.bandwidth_gb_s:.0f} GB/s, of arrays of {cached or '–'}")


def _show_model(model: ProfiledModel, rows: int) -> None:
    memory = f", {model.memory.peak_bytes / 1e6:.0f} MB at most" if model.memory else ""
    print(f"\n{model.model_name} in {model.settings.runtime}: {model.call_ms:.4f} ms a call{memory}")
    print(f"nodes together {model.nodes_ms:.4f} ms after {model.recording_us:.2f} µs were taken off each;", end=" ")
    print(f"a recorded call {model.recorded_ms:.4f} ms; {model.calls} calls")
    print(OPERATOR.format("µs", "share", "nodes", "MOP", "out kB", "roof", "type"))
    for row in model.operators:
        cells = [_percent(row.share), row.count, _scaled(row.operations, 1e6), _scaled(row.output_bytes, 1e3)]
        print(OPERATOR.format(f"{row.ms * 1e3:.1f}", *cells, _percent(row.of_peak), row.op_type))
    print(NODE.format("µs", "share", "op/byte", "GOP/s", "GB/s", "kB", "roof", "", "type", "node"))
    for node in sorted(model.nodes, key=lambda node: -node.ms)[:rows]:
        _show_node(node)


def _show_node(node: Node) -> None:
    print(NODE.format(
        f"{node.ms * 1e3:.1f}", _percent(node.share), _scaled(node.intensity, 1), _scaled(node.gops, 1),
        _scaled(node.gb_s, 1), _scaled(node.moved_bytes, 1e3), _percent(node.of_peak), node.bound or "–", node.op_type,
        f"{node.name[:32]} ← {', '.join(node.origin)[:60]}",
    ))  # fmt: skip


def _show_groups(groups: list[MatchedGroup], rows: int) -> None:
    print("\n" + GROUP.format("µs", "against", "speedup", "group", "", ""))
    for row in groups[:rows]:
        times = [_scaled(row.ms, 1e-3), _scaled(row.against_ms, 1e-3), _scaled(row.speedup, 1, 2)]
        print(GROUP.format(*times, row.group[:36], ", ".join(row.op_types[:4]), ", ".join(row.against_op_types[:4])))
    sums = [
        _scaled(sum(row.ms or 0 for row in groups), 1e-3),
        _scaled(sum(row.against_ms or 0 for row in groups), 1e-3),
    ]
    print(GROUP.format(*sums, "", "together", "", ""))


def _scaled(number: float | None, by: float, digits: int = 1) -> str:
    return "–" if number is None else f"{number / by:.{digits}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _dim(text: str) -> tuple[str, int]:
    name, _, length = text.partition("=")
    return name, int(length)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--runtime", choices=sorted(DEFAULT_SETTINGS), default="onnxruntime")
    parser.add_argument("--other-runtime", choices=sorted(DEFAULT_SETTINGS), default="onnxruntime")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--dim", type=_dim, action="append", default=[], help="a symbolic axis, NAME=LENGTH")
    parser.add_argument("--rows", type=int, default=25)
    return parser.parse_args()


if __name__ == "__main__":
    main()
