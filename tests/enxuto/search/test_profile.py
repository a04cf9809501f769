"""What a profile's plan asks for, what it concludes, and how it ends where there is nothing to conclude."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from enxuto.errors import BadInput, Finding
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.machine import this_machine
from enxuto.report import ProfileReport
from enxuto.request import ProfileOptions
from enxuto.search.plan import PlanFailed, Stopped
from enxuto.search.profile import profile
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.signature import DatasetInput, ModelInput, TensorSpec
from enxuto.steps import HostNoise, ModelProfile, NodeProfile, Peaks, ProfileModel, Step
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, a_dataset, a_model, digest

QUIET = HostNoise(load_1m=0.0, steal_share=0.0, pressure_share=0.0)
PEAKS = Peaks(threads=1, fp32_gflops=100.0, int8_gops=400.0, bandwidth_gb_s=10.0, noise=QUIET)
LEAN = digest("lean")


def ran(op_type: str, name: str, ms: float, operations: int | None, moved: int = 1000) -> NodeProfile:
    precision = "int8" if op_type.startswith("QLinear") else "float32"
    return NodeProfile(
        name=name, op_type=op_type, origin=[name], tensor=name, ms=ms, output_bytes=100, moved_bytes=moved,
        weight_bytes=0, operations=operations, precision=precision,
    )  # fmt: skip


def a_profile(*nodes: NodeProfile) -> ModelProfile:
    together = sum(node.ms for node in nodes)
    return ModelProfile(
        call_ms=together, recorded_ms=1.2 * together, calls=100, recording_us=2.0, nodes=list(nodes), noise=QUIET,
        profile_file="profile.json",
    )  # fmt: skip


PLAIN = a_profile(
    ran("Conv", "first", 5.0, 300_000_000), ran("Conv", "second", 4.0, 300_000_000), ran("Slice", "cut", 1.0, 0)
)
QUANTIZED = a_profile(
    ran("QLinearConv", "first", 2.0, 300_000_000), ran("QLinearConv", "second", 1.0, 300_000_000),
    ran("Slice", "cut", 1.0, 0),
)  # fmt: skip


def a_world(peaks: Peaks | None = PEAKS, **facts: Facts) -> World:
    return World(
        {"lean": facts.get("lean", Facts())},
        original=facts.get("original", Facts()),
        profiles={ORIGINAL: PLAIN, LEAN: QUANTIZED},
        peaks=peaks,
    )


def lean() -> ModelInput:
    return a_model("lean.onnx").model_copy(update={"file": LEAN})


def asked(
    world: World,
    *,
    beside: bool = False,
    request: ProfileOptions | None = None,
    peaks: Peaks | None = None,
    data: DatasetInput | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ProfileReport:
    model, against = (lean(), a_model()) if beside else (a_model(), None)
    plan = profile(request or ProfileOptions(), model, against, data, this_machine(), peaks)
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=Control(cancelled=cancelled))


def test_one_model_is_profiled_after_the_peaks() -> None:
    world = a_world()
    report = asked(world)
    assert world.kinds() == ["measure_peaks", "profile_model", "measure_memory"]
    assert (report.peaks.fp32_gflops, report.peaks_measured_before) == (100.0, False)
    assert (report.against, report.groups) == (None, [])
    assert report.profile.memory is not None
    assert report.profile.recording_us == 2.0
    assert report.why == (
        "net.onnx, 10.0 ms a call: 90 % in 2 Conv nodes at 67 % of the FP32 peak; "
        "10 % in 1 node that computes nothing (Slice)."
    ).replace(" ms", "\u00a0ms").replace(" %", "\u00a0%")


def test_two_models_have_their_groups_matched() -> None:
    world = a_world()
    report = asked(world, beside=True)
    assert world.kinds() == ["measure_peaks", "profile_model", "profile_model", "measure_memory", "measure_memory"]
    assert [(group.group, group.speedup) for group in report.groups] == [("first", 2.5), ("second", 4.0), ("cut", 1.0)]
    assert report.model_name == "lean.onnx"
    assert report.against is not None
    assert report.against.model_name == "net.onnx"
    assert "lean.onnx takes 0.40× the time of net.onnx." in report.why
    assert len(report.noise) == 3


def test_peaks_that_are_known_are_not_measured_again() -> None:
    world = a_world(None)
    report = asked(world, peaks=PEAKS)
    assert "measure_peaks" not in world.kinds()
    assert report.peaks_measured_before


def test_peaks_of_another_number_of_threads_are_measured_anew() -> None:
    world = a_world()
    report = asked(world, peaks=PEAKS.model_copy(update={"threads": 8}), request=ProfileOptions())
    assert world.kinds()[0] == "measure_peaks"
    assert (report.peaks.threads, report.peaks_measured_before) == (1, False)


def test_the_threads_of_the_settings_are_those_of_the_peaks() -> None:
    request = ProfileOptions(settings=OnnxRuntimeSettings(threads=2))
    report = asked(a_world(), beside=True, request=request)
    assert report.peaks.threads == 2
    assert report.profile.nodes[0].of_peak is not None
    assert report.against is not None
    assert {node.of_peak for node in report.against.nodes} == {None}  # one thread has another roof


def test_each_side_has_a_runtime_of_its_own() -> None:
    world = a_world()
    report = asked(world, beside=True, request=ProfileOptions(against_settings=OpenVinoSettings()))
    runtimes = [step.subject.settings.runtime for step in world.done if isinstance(step, ProfileModel)]
    assert runtimes == ["onnxruntime", "openvino"]
    assert "net.onnx in openvino" in report.why


def test_without_settings_the_first_runtime_of_the_workload_is_taken() -> None:
    world = a_world()
    report = asked(world, request=ProfileOptions(workload=Workload(runtimes=["openvino"])))
    assert report.request.settings == OpenVinoSettings()
    assert report.request.against_settings is None


def test_samples_are_used_where_they_are_given() -> None:
    world = a_world()
    report = asked(world, data=a_dataset())
    (step,) = [step for step in world.done if isinstance(step, ProfileModel)]
    assert step.samples is not None
    assert report.replay.datasets == {"evaluation": a_dataset().file}


def test_nodes_beyond_the_peaks_are_spoken_of() -> None:
    report = asked(a_world(PEAKS.model_copy(update={"fp32_gflops": 50.0})))
    assert "faster than the peaks" in report.why
    assert "faster than the peaks" not in asked(a_world()).why


def test_a_busy_machine_is_spoken_of() -> None:
    world = a_world()
    busy = QUIET.model_copy(update={"pressure_share": 0.5})
    world.profiles[ORIGINAL] = PLAIN.model_copy(update={"noise": busy})
    assert "held up calls" in asked(world).why
    assert "held up calls" not in asked(a_world()).why


@pytest.mark.parametrize("kind", ["profile_model", "measure_peaks"])
def test_what_cannot_be_profiled_ends_the_job_with_its_finding(kind: str) -> None:
    world = a_world(None if kind == "measure_peaks" else PEAKS, original=Facts(fails={"profile_model": "does_not_run"}))
    with pytest.raises(PlanFailed) as failure:
        asked(world)
    finding: Finding = failure.value.finding
    assert finding.code == ("out_of_memory" if kind == "measure_peaks" else "does_not_run")


def test_memory_that_cannot_be_measured_is_left_open() -> None:
    report = asked(a_world(original=Facts(fails={"measure_memory": "out_of_memory"})))
    assert report.profile.memory is None


def cancelled_at(world: World, kind: str) -> Callable[[], bool]:
    """True from the end of the first step of this kind on."""
    seen: list[str] = []

    def note(step: Step) -> None:
        seen.append(step.kind)

    world.on_step = note
    return lambda: kind in seen


def test_a_job_that_is_cancelled_before_the_last_profile_has_no_answer() -> None:
    world = a_world()
    with pytest.raises(Stopped):
        asked(world, beside=True, cancelled=cancelled_at(world, "measure_peaks"))


def test_a_job_that_is_cancelled_after_the_profiles_gives_them_back() -> None:
    world = a_world()
    report = asked(world, cancelled=cancelled_at(world, "profile_model"))
    assert report.profile.memory is None
    assert len(report.profile.nodes) == 3


def test_models_of_different_tasks_are_refused() -> None:
    other = a_model("other.onnx", inputs=[TensorSpec(name="tokens", dtype="int64", shape=["batch", 8])])
    with pytest.raises(BadInput) as refusal:
        next(profile(ProfileOptions(), other, a_model(), None, this_machine(), None))
    assert refusal.value.code == "models_differ"


def test_a_report_is_read_back_as_it_was_written() -> None:
    report = asked(a_world(), beside=True)
    assert ProfileReport.model_validate_json(report.model_dump_json()) == report


def test_memory_is_that_of_a_process_in_which_loading_left_little() -> None:
    """As comparisons tell it: two reports on a model must not differ by the luck of loading."""
    unlucky_first = Facts(left_by_loading=lambda load: 0 if load else 40_000_000)
    found = asked(a_world(original=unlucky_first))
    assert found.profile.memory
    assert found.profile.memory.peak_bytes == unlucky_first.memory_bytes
