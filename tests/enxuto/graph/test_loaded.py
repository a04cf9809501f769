from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from enxuto.errors import BadInput
from enxuto.graph import write
from enxuto.graph.loaded import load_edited
from tests.support import tiny_models


@pytest.mark.parametrize("worth_parts", [0, 1 << 26], ids=["weights beside it", "one file"])
def test_a_model_that_was_loaded_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth_parts: int
) -> None:
    monkeypatch.setattr(write, "_LARGE_TENSOR", 64)
    monkeypatch.setattr(write, "_WORTH_PARTS", worth_parts)
    loaded = load_edited(ir.from_proto(tiny_models.mlp()), tmp_path)
    assert not list(tmp_path.iterdir())
    assert np.isfinite(loaded.run({"x": np.ones((2, 16), np.float32)})[0]).all()


def test_nor_does_one_that_cannot_be_loaded(tmp_path: Path) -> None:
    model = ir.from_proto(tiny_models.mlp())
    next(iter(model.graph)).domain = "nobody.knows"
    model.opset_imports["nobody.knows"] = 1
    with pytest.raises(BadInput):
        load_edited(model, tmp_path)
    assert not list(tmp_path.iterdir())
