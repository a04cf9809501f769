"""PyTorch on the processor, for programs that were lifted safely: modules in memory, never files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from enxuto.errors import BadInput, EnxutoError, OutOfCapacity
from enxuto.signature import TensorSpec

_ERRORS = (RuntimeError, TypeError, ValueError, IndexError, MemoryError)
_LONGEST_MESSAGE = 600


class TorchModel:
    """A module that takes its inputs by position, in the order of ``inputs``, and gives tensors in that of ``outputs``.

    It is put into inference mode, as it is meant to be run from here on.
    """

    def __init__(
        self, module: torch.nn.Module, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], threads: int = 1
    ) -> None:
        self._module = module.eval()
        self._threads = threads
        self.inputs = list(inputs)
        self.outputs = list(outputs)

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        if torch.get_num_threads() != self._threads:  # of the whole process: another model may have set them
            torch.set_num_threads(self._threads)
        try:
            tensors = [torch.from_numpy(np.require(feeds[spec.name], requirements=["C", "W"])) for spec in self.inputs]
            with torch.inference_mode():
                found = self._module(*tensors)
        except KeyError as missing:
            raise _wrapped(ValueError(f"input {missing} is missing")) from missing
        except _ERRORS as error:
            raise _wrapped(error) from error
        return [each.numpy() for each in (found if isinstance(found, tuple | list) else [found])]


def _wrapped(error: Exception) -> EnxutoError:
    message = " ".join(str(error).split())[:_LONGEST_MESSAGE]
    if isinstance(error, MemoryError) or "can't allocate memory" in message:
        return OutOfCapacity(
            f"the model asked for more memory than there is: {message}",
            code="out_of_memory",
            hint="Use a smaller batch or smaller dimensions, or raise the memory limit of a step.",
        )
    return BadInput(
        f"the model does not run on these inputs: {message}",
        code="model_fails_to_run",
        hint="Check the inputs' shapes, workload.batch_size and workload.dims against what the model was exported for.",
    )
