"""The one form that techniques work on: a copy, weights as initializers, every node with a name of its own."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.classical import in_standard_operators


def normalized(model: ir.Model) -> ir.Model:
    """A copy to edit: functions inlined, constants lifted into initializers, operators for classical machine learning
    in standard ones where there are, exporter's remarks dropped.

    Initializers are no longer inputs (IR version 3 wants them there): nobody feeds weights to a model. The model's own
    metadata, such as class names, stays.
    """
    copy = model.clone()
    for value in (*copy.graph.inputs, *copy.graph.outputs):
        value.shape = _without_negative(value.shape)
    for value in copy.graph.initializers.values():
        if value.const_value is not None:  # some files leave out the shape of a weight that is an input as well
            value.shape = ir.Shape(value.const_value.shape.numpy())
    ir.passes.Sequential(
        passes.InlinePass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.RemoveInitializersFromInputsPass(),
        passes.RemoveUnusedNodesPass(),
        passes.TopologicalSortPass(),
        passes.NameFixPass(),
        passes.ClearMetadataAndDocStringPass(),
    )(copy)
    in_standard_operators(copy)
    _own_names(copy)
    copy.ir_version = max(copy.ir_version, _oldest_ir_version(copy))
    return copy


def _own_names(model: ir.Model) -> None:
    """A lifted constant is still the original's tensor, and whoever writes the copy would name that one after it."""
    for value in model.graph.initializers.values():
        if value.const_value is not None and value.const_value.name != value.name and value.dtype != ir.DataType.STRING:
            value.const_value = ir.tensor(value.const_value.numpy(), dtype=value.dtype, name=value.name)


def keep_signature(original: ir.Model, model: ir.Model) -> None:
    """Give inputs and outputs back the types and shapes that they were declared with."""
    given = [value for value in original.graph.inputs if not value.is_initializer()]
    pairs = [
        *zip(given, model.graph.inputs, strict=True),
        *zip(original.graph.outputs, model.graph.outputs, strict=True),
    ]
    for before, after in pairs:
        after.type, after.shape = before.type, _without_negative(before.shape)


def opset_of(model: ir.Model) -> int:
    """Of the default domain."""
    return model.opset_imports.get("", model.opset_imports.get("ai.onnx", 1))


def _oldest_ir_version(model: ir.Model) -> int:
    """The first that allows weights that are no inputs (4), and that goes with the opset."""
    opset = onnx.helper.make_opsetid("", min(opset_of(model), onnx.defs.onnx_opset_version()))
    return max(4, int(onnx.helper.find_min_ir_version_for([opset])))


def _without_negative(shape: ir.Shape | None) -> ir.Shape | None:
    """Some exporters write -1 for an axis that is not known; shape inference would take it for a number."""
    if shape is None:
        return None
    return ir.Shape([None if isinstance(dim, int) and dim < 0 else dim for dim in shape])
