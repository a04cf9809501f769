"""The technique on the guide's page is one that works."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx_ir as ir
import pytest
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.graph.weights import array_of, weight_uses
from enxuto.techniques import Technique, Work
from tests.support import tiny_models
from tests.support.batches import context, drift, outputs_of, samples_for
from tests.support.tree import ROOT


@pytest.fixture
def shown() -> Iterator[type[Technique]]:
    page = (ROOT / "docs" / "writing-a-technique.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    module = ModuleType("technique_of_the_guide")
    sys.modules[module.__name__] = module
    exec(compile(code, "docs/writing-a-technique.md", "exec"), module.__dict__)  # noqa: S102
    yield module.__dict__["RoundedWeights"]
    del sys.modules[module.__name__]


def test_it_does_what_the_page_says(shown: type[Technique], tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    done = apply_technique(shown(decimals=1), Work(ir.from_proto(proto)), context(tmp_path))  # type: ignore[call-arg,arg-type]
    for use in weight_uses(done.model.graph):
        np.testing.assert_allclose(array_of(use.weight) * 10, np.rint(array_of(use.weight) * 10), atol=1e-5)
    assert done.notes == ("rounded_weights: 2 weights have 1 decimals.",)


def test_it_stays_within_its_drift(shown: type[Technique], tmp_path: Path) -> None:
    proto = tiny_models.convnet()
    done = apply_technique(shown(), Work(ir.from_proto(proto)), context(tmp_path))  # type: ignore[arg-type]
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) <= shown.max_drift


def test_it_refuses_a_model_without_weights(shown: type[Technique], tmp_path: Path) -> None:
    model = parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[n] x) => (float[n] y) { y = Relu(x) }')
    with pytest.raises(NotApplicable, match="rounded_weights: No node"):
        apply_technique(shown(), Work(ir.from_proto(model)), context(tmp_path))  # type: ignore[arg-type]
