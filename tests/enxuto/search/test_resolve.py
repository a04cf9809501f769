"""What was asked is settled, or refused before anything is run."""

from __future__ import annotations

import pytest

from enxuto.errors import BadInput
from enxuto.request import CompareOptions, OptimizeOptions
from enxuto.search.resolve import resolve_compare, resolve_optimize
from enxuto.signature import ModelInput, TensorSpec
from enxuto.workload import Workload
from tests.support.simulated_world import a_model


def model_with(*inputs: TensorSpec) -> ModelInput:
    model = a_model()
    return model.model_copy(update={"inspection": model.inspection.model_copy(update={"inputs": list(inputs)})})


TOKENS = TensorSpec(name="tokens", dtype="int64", shape=["batch", "sequence"])
FRAMES = TensorSpec(name="tokens", dtype="int64", shape=["batch", "frames"])


def test_sizes_are_taken_for_the_axes_that_the_model_has() -> None:
    request = OptimizeOptions(workload=Workload(dims={"sequence": 128}))
    assert resolve_optimize(request, model_with(TOKENS), None).workload.dims == {"sequence": 128}


def test_a_mistyped_axis_is_refused_and_the_right_ones_are_named() -> None:
    with pytest.raises(BadInput, match=r"'sequnce'.*'batch', 'sequence'") as caught:
        resolve_optimize(OptimizeOptions(workload=Workload(dims={"sequnce": 128})), model_with(TOKENS), None)
    assert caught.value.code == "unknown_dim"


def test_models_that_are_compared_may_name_their_axes_differently() -> None:
    request = CompareOptions(workload=Workload(dims={"sequence": 8, "frames": 8}))
    assert resolve_compare(request, model_with(TOKENS), model_with(FRAMES), None).workload == request.workload


@pytest.mark.parametrize("size", [0, 1_000_000])
def test_a_model_fixed_to_a_batch_that_cannot_be_run_is_refused(size: int) -> None:
    model = a_model(batch_size=size)
    with pytest.raises(BadInput, match=r"dynamic batch axis") as caught:
        resolve_optimize(OptimizeOptions(), model, None)
    assert caught.value.code == "batch_out_of_bounds"
    with pytest.raises(BadInput):
        resolve_compare(CompareOptions(), model, model, None)


@pytest.mark.parametrize("dtype", ["string", "unknown"])
def test_a_model_that_takes_no_numbers_is_refused_at_once(dtype: str) -> None:
    model = model_with(TensorSpec(name="text", dtype=dtype, shape=["batch"]))
    for resolve in (
        lambda: resolve_optimize(OptimizeOptions(), model, None),
        lambda: resolve_compare(CompareOptions(), model, model, None),
    ):
        with pytest.raises(BadInput, match="text") as caught:
            resolve()
        assert caught.value.code == "input_not_drawable"
