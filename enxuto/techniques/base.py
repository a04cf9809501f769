"""What a technique is: parameters, what it requires, and a thin ``apply``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from pydantic import StringConstraints

from enxuto.schema import Value
from enxuto.workload import Workload

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir


NodeName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
"""Of a node, as the model's own graph names it, or an operator type."""


class Batches(Protocol):
    """Calibration samples as the model wants them, preprocessed, read anew from disk each time."""

    @property
    def count(self) -> int:
        """Samples in all."""
        ...

    def __call__(self, batch_size: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Arrays by input name; the first axis counts samples. The last batch may be smaller."""
        ...


@dataclass(frozen=True)
class Context:
    """What a technique may use beside the model."""

    scratch: Path
    """A folder of its own, thrown away afterwards."""
    seed: int
    calibration: Batches | None
    """None where the job brings no data."""
    instruction_sets: frozenset[str]
    """Of the processor that the model is meant for, named as in ``/proc/cpuinfo``: avx2, avx512_vnni, …"""
    workload: Workload = field(default_factory=Workload)
    """How the model will be run: some run at one batch size only, whatever they declare."""


@dataclass(frozen=True)
class Work:
    """What travels between techniques."""

    model: ir.Model
    """Never changed in place: a technique returns a new one (``model.clone()`` before editing)."""
    notes: tuple[str, ...] = field(default=())
    """What a reader of the report should know about what was done."""
    statistics: Path | None = None
    """What a calibration of this very model found; None after any change, and where none was done."""

    def with_model(self, model: ir.Model, *notes: str) -> Work:
        """What comes out of a technique. What was seen of the tensors held for the model that went in."""
        return replace(self, model=model, notes=(*self.notes, *notes), statistics=None)


class Technique(Value):
    """One transformation of a model.

    A subclass is one file: a ``kind`` literal, typed fields with bounds and a description each, ``requires`` and
    ``apply``. Heavy packages are imported inside those two, never at the top: the API reads this class.
    """

    max_drift: ClassVar[float]
    """Declared drift: on the test models, outputs stay within this relative L2 distance of the input's outputs."""
    lossless: ClassVar[bool] = False
    """Whether outputs stay the same up to rounding."""
    needs_calibration: ClassVar[bool] = False

    def requires(self, work: Work, context: Context) -> None:
        """Raise ``NotApplicable`` with the reason where this technique has nothing to do on this model."""

    def apply(self, work: Work, context: Context) -> Work:
        """Return the transformed model; what came in is never touched."""
        raise TypeError(f"{type(self).__name__} does not say how it is applied")
