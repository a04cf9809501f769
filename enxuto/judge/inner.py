"""Inner tensors of two models side by side, a few at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.edit import Editor
from enxuto.graph.inner import exposed
from enxuto.graph.loaded import load_edited
from enxuto.judge.few_samples import Batch
from enxuto.runtimes import LoadedModel
from enxuto.settings import OnnxRuntimeSettings

_MOST_BYTES = 64 << 20
"""Of the tensors of one model that are held at once."""
_MOST_TENSORS = 64
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
_NONE = ir.DataType.UNDEFINED

Pair = tuple[np.ndarray, np.ndarray]
"""The same tensor in the original and in the other model."""


class InnerTensors:
    """Tensors that two models have in common, by name, as both compute them on the same samples."""

    def __init__(
        self, original: ir.Model, other: ir.Model, settings: OnnxRuntimeSettings, threads: int, scratch: Path
    ) -> None:
        self._models = tuple(_with_types(model) for model in (original, other))
        self._settings, self._threads, self._scratch = settings, threads, scratch
        first, second = (_types(model) for model in self._models)
        self.names = [name for name in first if first[name] in _FLOATS and second.get(name, _NONE) in (*_FLOATS, None)]

    def pairs(self, batches: Sequence[Batch]) -> Iterator[tuple[str, Pair]]:
        """Of every batch in turn; a tensor whose shapes differ is left out."""
        sizes = self._sizes(batches[0])
        for group in _groups(self.names, sizes):
            sides = [self._load(exposed(model, group)) for model in self._models]
            for batch in batches:
                left, right = (_by_name(side, batch, group) for side in sides)
                for name in group:
                    if name in left and name in right and left[name].shape == right[name].shape:
                        yield name, (left[name], right[name])
            del sides  # before the next two are loaded

    def _sizes(self, batch: Batch) -> Mapping[str, int]:
        """Bytes of each tensor of the original, without holding any of them."""
        model, counts = _measured(self._models[0], self.names)
        found = _outputs(self._load(model), batch)
        return {name: 4 * int(found[count].reshape(-1)[0]) for name, count in counts.items() if count in found}

    def _load(self, model: ir.Model) -> LoadedModel:
        return load_edited(model, self._scratch, self._settings, self._threads)


def _with_types(model: ir.Model) -> ir.Model:
    """A copy that tells the type of every tensor, as far as it can be inferred."""
    copy = model.clone()
    passes.ShapeInferencePass()(copy)
    return copy


def _types(model: ir.Model) -> dict[str, ir.DataType | None]:
    """Of tensors made by nodes of the graph itself; what a runtime's own operators make is not known."""
    return {str(value.name): value.dtype for node in model.graph for value in node.outputs if value.name}


def _groups(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    group: list[str] = []
    held = 0
    for name in names:
        size = sizes.get(name, _MOST_BYTES)
        if group and (held + size > _MOST_BYTES or len(group) == _MOST_TENSORS):
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group


def _measured(model: ir.Model, names: Sequence[str]) -> tuple[ir.Model, dict[str, str]]:
    """A copy whose further outputs count the elements of tensors, and the name of each one's count."""
    copy = model.clone()
    editor, counts = Editor(copy.graph), {}
    made = {str(value.name): value for node in copy.graph for value in node.outputs}
    for name in names:
        size = editor.node("Size", [made[name]], f"{name}_elements")
        size.outputs[0].type = ir.TensorType(ir.DataType.INT64)
        copy.graph.append(size)
        copy.graph.outputs.append(size.outputs[0])
        counts[name] = str(size.outputs[0].name)
    return copy, counts


def _outputs(model: LoadedModel, batch: Batch) -> dict[str, np.ndarray]:
    return {spec.name: array for spec, array in zip(model.outputs, model.run(batch.feeds), strict=True)}


def _by_name(model: LoadedModel, batch: Batch, names: Collection[str]) -> dict[str, np.ndarray]:
    """Copies: an output that outlives its session keeps room for all that a call computed (record 44)."""
    return {name: batch.cut(array).copy() for name, array in _outputs(model, batch).items() if name in names}
