"""Peak memory is that of a fresh process: read here in one that really is fresh."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.measure import memory
from enxuto.steps import MeasureMemory, MemoryUse, Subject
from enxuto.workload import Workload
from tests.support.tiny_samples import StepFiles

READ = """
import sys
from pathlib import Path
from enxuto.measure.memory import measure_memory
from enxuto.steps import MeasureMemory
step = MeasureMemory.model_validate_json(sys.argv[1])
print(measure_memory(step, {step.subject.model: Path(sys.argv[2])}, Path(".")).model_dump_json())
"""


def memory_of(files: StepFiles, megabytes: int) -> MemoryUse:
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        network (float[batch, 256] x) => (float[batch, width] y) { y = MatMul(x, weight) }
    """)
    weight = np.random.default_rng(0).standard_normal((256, megabytes * 1024), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    digest = files.add_model(model)
    step = MeasureMemory(
        subject=Subject(model=digest), workload=Workload(), samples=None, preprocessing={}, seed=0
    ).model_dump_json()
    ran = subprocess.run(
        [sys.executable, "-c", READ, step, str(files[digest])], capture_output=True, text=True, check=True
    )
    return MemoryUse.model_validate(json.loads(ran.stdout))


def test_a_larger_model_takes_more_by_at_least_its_weights(tmp_path: Path) -> None:
    files = StepFiles(tmp_path)
    small, large = memory_of(files, 1), memory_of(files, 40)
    assert large.peak_bytes - small.peak_bytes > 35e6
    assert small.peak_bytes > small.runtime_bytes > 10e6
    assert abs(large.runtime_bytes - small.runtime_bytes) < 10e6


def test_a_kernel_that_does_not_say_is_named() -> None:
    with pytest.raises(memory.StepCrashed, match="VmNothing"):
        memory._resident_bytes("VmNothing")
