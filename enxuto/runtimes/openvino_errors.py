"""What OpenVINO says when something goes wrong, in a user's words."""

from __future__ import annotations

import re
from pathlib import Path

import openvino
from openvino import frontend

from enxuto.errors import BadInput, EnxutoError, OutOfCapacity

ERRORS: tuple[type[Exception], ...] = (
    *(error for error in vars(frontend).values() if isinstance(error, type) and issubclass(error, Exception)),
    RuntimeError,  # what pybind11 makes of C++ exceptions
    TypeError,
    ValueError,
    KeyError,
    MemoryError,
)
_NOISE = (
    r"Exception from \S+:\d+:",
    r"Check '.*?' failed at \S+:\d+:",
    r"FrontEnd API failed with \w+:",
    r"\[(CPU|GPU)\] ",
    r"Model wasn't fully converted\.",
    r"Summary:",
    r"(?<!\S)-- ",
)
_SHORTAGE = re.compile(r"bad_alloc|[Ff]ailed to allocate|could not allocate|out of memory|Cannot allocate memory")
_LONGEST_MESSAGE = 600


def clean_message(error: Exception) -> str:
    """What the runtime said, without its source lines and checks."""
    text = str(error)
    for noise in _NOISE:
        text = re.sub(noise, " ", text, flags=re.DOTALL)
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def wrapped_load(error: Exception, path: Path) -> EnxutoError:
    message = clean_message(error).replace(str(path), "the file")
    return _out_of_memory(error, message) or BadInput(
        f"OpenVINO {_version()} cannot load this model: {message}",
        code="model_fails_to_load",
        hint="OpenVINO runs fewer models than ONNX Runtime does: run this one by ONNX Runtime alone.",
    )


def wrapped_run(error: Exception) -> EnxutoError:
    message = clean_message(error)
    return _out_of_memory(error, message) or BadInput(
        f"the model does not run on these inputs: {message}",
        code="model_fails_to_run",
        hint="Check the inputs' shapes, workload.batch_size and workload.dims against what the model was exported for.",
    )


def _version() -> str:
    return str(openvino.__version__).partition("-")[0]


def _out_of_memory(error: Exception, message: str) -> OutOfCapacity | None:
    if isinstance(error, MemoryError) or _SHORTAGE.search(message):
        return OutOfCapacity(
            f"the model asked for more memory than there is: {message}",
            code="out_of_memory",
            hint="Use a smaller batch or smaller dimensions, or raise the memory limit of a step.",
        )
    return None
