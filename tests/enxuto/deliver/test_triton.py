"""``config.pbtxt`` is text that Triton's own message takes, and says what the plan says.

The messages below are the part of ``model_config.proto`` (triton-inference-server/common) that may be written; anything
else is refused, as Triton refuses it.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from enxuto.deliver import files_of
from enxuto.deliver.triton import config_pbtxt
from enxuto.report import ServingPlan
from enxuto.scenario import Batching
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.signature import ModelInspection, TensorSpec
from tests.support import reports

MESSAGES = """
    name: "model_config_part.proto" package: "triton" syntax: "proto3"
    enum_type { name: "DataType"
        value { name: "TYPE_INVALID" number: 0 } value { name: "TYPE_BOOL" number: 1 }
        value { name: "TYPE_UINT8" number: 2 } value { name: "TYPE_UINT16" number: 3 }
        value { name: "TYPE_UINT32" number: 4 } value { name: "TYPE_UINT64" number: 5 }
        value { name: "TYPE_INT8" number: 6 } value { name: "TYPE_INT16" number: 7 }
        value { name: "TYPE_INT32" number: 8 } value { name: "TYPE_INT64" number: 9 }
        value { name: "TYPE_FP16" number: 10 } value { name: "TYPE_FP32" number: 11 }
        value { name: "TYPE_FP64" number: 12 } value { name: "TYPE_STRING" number: 13 }
        value { name: "TYPE_BF16" number: 14 } }
    message_type { name: "ModelTensorReshape"
        field { name: "shape" number: 1 type: TYPE_INT64 label: LABEL_REPEATED } }
    message_type { name: "ModelInput"
        field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
        field { name: "data_type" number: 2 type: TYPE_ENUM type_name: ".triton.DataType" label: LABEL_OPTIONAL }
        field { name: "dims" number: 4 type: TYPE_INT64 label: LABEL_REPEATED }
        field { name: "reshape" number: 5 type: TYPE_MESSAGE type_name: ".triton.ModelTensorReshape" } }
    message_type { name: "ModelOutput"
        field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
        field { name: "data_type" number: 2 type: TYPE_ENUM type_name: ".triton.DataType" label: LABEL_OPTIONAL }
        field { name: "dims" number: 3 type: TYPE_INT64 label: LABEL_REPEATED }
        field { name: "reshape" number: 5 type: TYPE_MESSAGE type_name: ".triton.ModelTensorReshape" } }
    message_type { name: "ModelInstanceGroup"
        enum_type { name: "Kind"
            value { name: "KIND_AUTO" number: 0 } value { name: "KIND_GPU" number: 1 }
            value { name: "KIND_CPU" number: 2 } value { name: "KIND_MODEL" number: 3 } }
        field { name: "count" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL }
        field { name: "kind" number: 4 type: TYPE_ENUM type_name: ".triton.ModelInstanceGroup.Kind" } }
    message_type { name: "ModelOptimizationPolicy"
        nested_type { name: "Graph" field { name: "level" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL } }
        field { name: "graph" number: 1 type: TYPE_MESSAGE type_name: ".triton.ModelOptimizationPolicy.Graph" } }
    message_type { name: "ModelDynamicBatching"
        field { name: "preferred_batch_size" number: 1 type: TYPE_INT32 label: LABEL_REPEATED }
        field { name: "max_queue_delay_microseconds" number: 2 type: TYPE_UINT64 label: LABEL_OPTIONAL } }
    message_type { name: "ModelParameter"
        field { name: "string_value" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
    message_type { name: "ModelConfig"
        nested_type { name: "ParametersEntry" options { map_entry: true }
            field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
            field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".triton.ModelParameter" } }
        field { name: "max_batch_size" number: 4 type: TYPE_INT32 label: LABEL_OPTIONAL }
        field { name: "input" number: 5 type: TYPE_MESSAGE type_name: ".triton.ModelInput" label: LABEL_REPEATED }
        field { name: "output" number: 6 type: TYPE_MESSAGE type_name: ".triton.ModelOutput" label: LABEL_REPEATED }
        field { name: "instance_group" number: 7 type: TYPE_MESSAGE type_name: ".triton.ModelInstanceGroup"
            label: LABEL_REPEATED }
        field { name: "default_model_filename" number: 8 type: TYPE_STRING label: LABEL_OPTIONAL }
        field { name: "dynamic_batching" number: 11 type: TYPE_MESSAGE type_name: ".triton.ModelDynamicBatching" }
        field { name: "optimization" number: 12 type: TYPE_MESSAGE type_name: ".triton.ModelOptimizationPolicy" }
        field { name: "parameters" number: 14 type: TYPE_MESSAGE type_name: ".triton.ModelConfig.ParametersEntry"
            label: LABEL_REPEATED }
        field { name: "backend" number: 17 type: TYPE_STRING label: LABEL_OPTIONAL } }
"""


@pytest.fixture(scope="module")
def model_config() -> Any:
    file = text_format.Parse(MESSAGES, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("triton.ModelConfig"))


def inspection(
    inputs: list[tuple[str, str, list[int | str | None] | None]],
    outputs: list[tuple[str, str, list[int | str | None] | None]],
    batch_size: int | None = None,
) -> ModelInspection:
    def specs(rows: list[tuple[str, str, list[int | str | None] | None]]) -> list[TensorSpec]:
        return [TensorSpec(name=name, dtype=dtype, shape=shape) for name, dtype, shape in rows]

    changes = {"inputs": specs(inputs), "outputs": specs(outputs), "batch_size": batch_size}
    return reports.inspection().model_copy(update=changes)


def plan(**changes: Any) -> ServingPlan:
    return reports.serving_plan().model_copy(update=changes)


IMAGE = [("image", "float32", ["batch", 3, None, "width"])]
SCORES = [("scores", "float32", ["batch", 10])]


def parsed(model_config: Any, plan: ServingPlan, inspection: ModelInspection) -> Any:
    text = config_pbtxt(plan, inspection)
    assert text is not None
    return text_format.Parse(text, model_config())


def parameters(config: Any) -> dict[str, str]:
    return {key: value.string_value for key, value in config.parameters.items()}


def test_a_plan_becomes_batching_instances_and_tensors_without_the_batch_axis(model_config: Any) -> None:
    batching = Batching(max_batch=8, max_delay_ms=1.5, instances=2)
    config = parsed(model_config, plan(batching=batching, threads=3), inspection(IMAGE, SCORES))
    assert (config.backend, config.default_model_filename, config.max_batch_size) == ("onnxruntime", "model.onnx", 8)
    assert list(config.dynamic_batching.preferred_batch_size) == [8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1500
    assert [(group.count, group.kind) for group in config.instance_group] == [(2, 2)]
    assert [(spec.name, spec.data_type, list(spec.dims)) for spec in config.input] == [("image", 11, [3, -1, -1])]
    assert [(spec.name, list(spec.dims)) for spec in config.output] == [("scores", [10])]


def test_onnxruntime_is_set_up_as_it_was_measured(model_config: Any) -> None:
    settings = OnnxRuntimeSettings(
        execution_mode="parallel", inter_op_threads=2, arena=False, graph_level="basic", spinning=False
    )
    changed = plan(settings=settings, threads=4)
    config = parsed(model_config, changed, inspection(IMAGE, SCORES))
    assert parameters(config) == {
        "intra_op_thread_count": "4",
        "inter_op_thread_count": "2",
        "execution_mode": "1",
        "enable_mem_arena": "0",
        "enable_mem_pattern": "1",
    }
    assert config.optimization.graph.level == -1
    assert "do not spin" in (config_pbtxt(changed, inspection(IMAGE, SCORES)) or "")


def test_openvino_gets_streams_and_threads_for_all_instances(model_config: Any) -> None:
    changed = plan(settings=OpenVinoSettings(precision="bf16"), threads=2, batching=Batching(max_batch=4, instances=3))
    config = parsed(model_config, changed, inspection(IMAGE, SCORES))
    assert config.backend == "openvino"
    assert parameters(config) == {"NUM_STREAMS": "3", "INFERENCE_NUM_THREADS": "6", "HINT_BF16": "YES"}


@pytest.mark.parametrize(
    ("inputs", "outputs", "batch_size", "said", "dims"),
    [
        ([("x", "float32", [4, 3])], [("y", "float32", [4, 2])], 4, "batches of 4 only", [4, 3]),
        ([("x", "float32", [7])], [("y", "float32", ["rows", 2])], None, "no batch axis", [7]),
        ([("x", "float32", ["n", 3])], [("y", "float32", [])], None, "no batch axis", [-1, 3]),
    ],
)
def test_a_model_without_a_free_batch_axis_is_not_batched_and_says_so(
    model_config: Any, inputs: Any, outputs: Any, batch_size: int | None, said: str, dims: list[int]
) -> None:
    model = inspection(inputs, outputs, batch_size)
    config = parsed(model_config, plan(), model)
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == dims
    assert said in (config_pbtxt(plan(), model) or "")


def test_a_tensor_of_one_number_a_sample_is_reshaped(model_config: Any) -> None:
    config = parsed(model_config, plan(), inspection([("x", "int64", ["batch"])], [("y", "bool", ["batch"])]))
    assert list(config.input[0].dims) == [1]
    assert config.input[0].HasField("reshape")
    assert list(config.input[0].reshape.shape) == []


def test_batches_of_one_are_not_gathered(model_config: Any) -> None:
    config = parsed(model_config, plan(batching=Batching(max_batch=1)), inspection(IMAGE, SCORES))
    assert config.max_batch_size == 1
    assert not config.HasField("dynamic_batching")


def test_names_may_hold_anything(model_config: Any) -> None:
    name = 'a "quoted" \\ name\n é \x01'
    config = parsed(model_config, plan(), inspection([(name, "float32", ["b", 1])], SCORES))
    assert config.input[0].name == name


@pytest.mark.parametrize(("dtype", "shape"), [("float8_e4m3fn", ["b", 1]), ("float32", None), ("unknown", ["b"])])
def test_what_triton_has_no_word_for_gives_no_file(dtype: str, shape: Any) -> None:
    assert config_pbtxt(plan(), inspection([("x", dtype, shape)], SCORES)) is None


def test_a_report_with_a_plan_delivers_all_of_its_files(model_config: Any) -> None:
    report = reports.benchmark_report()
    files = files_of(report)
    assert sorted(files) == ["batcher.py", "config.pbtxt", "load_model.py", "serve.py", "settings.json"]
    text_format.Parse(files["config.pbtxt"], model_config())
    assert files_of(report.model_copy(update={"plan": None})) == {}
