"""What every runtime gives once it has loaded a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from enxuto.signature import TensorSpec


class LoadedModel(Protocol):
    """A model in memory, ready to be called again and again from one thread."""

    @property
    def inputs(self) -> list[TensorSpec]: ...

    @property
    def outputs(self) -> list[TensorSpec]:
        """Those that are tensors: sequences and maps, such as skl2onnx's probabilities, are left out."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Arrays in the order of ``outputs``.

        Raises:
            BadInput: the model does not run on these inputs (``model_fails_to_run``).
            OutOfCapacity: it asked for more memory than there is.
        """
        ...
