"""What holds for every technique, taken from the union itself: a new one is tested as soon as it stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import onnx_ir as ir
import pytest
from onnx.parser import parse_model
from pydantic import ValidationError

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.graph.prove import require_same_signature, require_valid, signature
from enxuto.techniques import AnyTechnique, Technique, Work
from tests.support import tiny_models, tiny_transformers
from tests.support.batches import context, drift, outputs_of, samples_for

CLASSES: list[type[Technique]] = list(get_args(get_args(AnyTechnique)[0]))
NEEDED: dict[str, dict[str, Any]] = {"magnitude_pruning": {"ratio": 0.5}, "half_precision": {"require_kernels": False}}
"""Fields without which a technique makes no sense."""
MODELS = {
    "convnet": tiny_models.convnet(channels=16),
    "fixed_convnet": tiny_models.fixed_convnet(),
    "mlp": tiny_models.mlp(),
    "tokens": tiny_models.tokens(vocabulary=40, width=16),
    "two_in_two_out": tiny_models.two_in_two_out(),
    "branching": tiny_models.branching(),
    "bert": tiny_transformers.legacy(),
    "bert_of_today": tiny_transformers.dynamo(),
    "gpt": tiny_transformers.causal(),
    "half_mlp": tiny_models.mlp(half=True),
    "half_tokens": tiny_models.tokens(vocabulary=40, width=16, half=True),
}
NOTHING_TO_DO = """
    <ir_version: 8, opset_import: ["" : 17]>
    nothing (float[batch, 4] x) => (float[batch, 4] y) { y = Relu(x) }
"""


def a_technique(kind: type[Technique], **given: Any) -> Any:
    return kind(**NEEDED.get(kind.model_fields["kind"].default, {}), **given)


@pytest.fixture(params=CLASSES, ids=lambda kind: kind.model_fields["kind"].default)
def technique(request: pytest.FixtureRequest) -> Any:
    return a_technique(request.param)


@pytest.mark.parametrize("name", MODELS)
def test_a_technique_keeps_its_promises(technique: Any, name: str, tmp_path: Path) -> None:
    proto = MODELS[name]
    samples = samples_for(proto)
    work = Work(ir.from_proto(proto))
    untouched = ir.to_proto(work.model).SerializeToString(deterministic=True)
    try:
        done = apply_technique(technique, work, context(tmp_path, samples))
    except NotApplicable:
        pytest.skip("nothing to do here; another test demands a reason")
    finally:
        assert ir.to_proto(work.model).SerializeToString(deterministic=True) == untouched, "the input was touched"
    again = apply_technique(technique, work, context(tmp_path, samples))
    written = ir.to_proto(done.model).SerializeToString(deterministic=True)
    assert ir.to_proto(again.model).SerializeToString(deterministic=True) == written, "not the same twice"
    (tmp_path / "model.onnx").write_bytes(written)
    require_valid(tmp_path / "model.onnx")
    require_same_signature(signature(work.model), signature(ir.load(tmp_path / "model.onnx")))
    assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) <= technique.max_drift


@pytest.mark.parametrize("kind", CLASSES)
def test_some_tiny_model_is_changed_by_a_technique(kind: type[Technique], tmp_path: Path) -> None:
    changed = 0
    for proto in MODELS.values():
        try:
            apply_technique(a_technique(kind), Work(ir.from_proto(proto)), context(tmp_path, samples_for(proto)))
            changed += 1
        except NotApplicable:
            continue
    assert changed >= 2


def test_a_model_with_nothing_to_do_is_refused_with_a_reason(technique: Any, tmp_path: Path) -> None:
    proto = parse_model(NOTHING_TO_DO)
    with pytest.raises(NotApplicable, match=technique.kind) as refusal:
        apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples_for(proto)))
    assert refusal.value.code != "not_applicable", "a code of its own"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_field_has_bounds_and_a_description(kind: type[Technique]) -> None:
    schema = kind.model_json_schema()
    assert kind.__doc__
    for name, field in schema["properties"].items():
        if name == "kind":
            continue
        assert field.get("description"), f"{kind.__name__}.{name} has no description"
        assert _bounded(field), f"{kind.__name__}.{name} has no bounds: {field}"


def _bounded(field: dict[str, Any]) -> bool:
    if "anyOf" in field:
        return all(_bounded(option) for option in field["anyOf"])
    match field.get("type"):
        case "integer" | "number":
            return "enum" in field or ("minimum" in field and "maximum" in field)
        case "array":
            return "maxItems" in field and _bounded(field["items"])
        case "string":
            return not {"enum", "const", "maxLength"}.isdisjoint(field)
    return field.get("type") in ("boolean", "null") or "enum" in field or "const" in field


@pytest.mark.parametrize("kind", CLASSES)
def test_an_unknown_parameter_is_refused(kind: type[Technique]) -> None:
    with pytest.raises(ValidationError, match="strength"):
        a_technique(kind, strength=3)
