from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.normalize import opset_of
from enxuto.graph.opset import with_opset
from enxuto.graph.prove import signature
from tests.support.batches import context, drift, outputs_of, samples_for

SOFTMAX = parse_model("""
    <ir_version: 4, opset_import: ["" : 10]>
    old (float[batch, 3, 4] x) => (float[batch, a, b] y) { y = Softmax(x) }
""")
"""Before opset 13 the default axis was 1 and everything behind it was one row."""


def test_outputs_and_signature_stay(tmp_path: Path) -> None:
    samples = samples_for(SOFTMAX)
    before = ir.from_proto(SOFTMAX)
    after = with_opset(before, 13, context(tmp_path, samples))
    assert opset_of(after) == 13
    assert opset_of(before) == 10
    assert signature(after) == signature(before)
    assert drift(outputs_of(SOFTMAX, samples), outputs_of(after, samples)) < 1e-6


def test_a_newer_model_stays_as_it_is(tmp_path: Path) -> None:
    model = ir.from_proto(SOFTMAX)
    assert with_opset(model, 9, context(tmp_path)) is model


def test_what_cannot_be_converted_is_refused_with_the_reason(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 4, opset_import: ["" : 9]>
        old (float[1, 1, 4, 4] x) => (float[1, 1, 8, 8] y) {
            scales = Constant<value = float[4] {1, 1, 2, 2}>()
            y = Upsample<mode = "linear">(x, scales)
        }""")
    with pytest.raises(NotApplicable, match="opset is 9 and 21 is needed") as refusal:
        with_opset(ir.from_proto(proto), 21, context(tmp_path, samples_for(proto)))
    assert refusal.value.code == "opset_too_old"
