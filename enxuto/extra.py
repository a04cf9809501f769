"""The packages that opening, running and judging models takes on this machine: the extra ``local``."""

from __future__ import annotations

from importlib.util import find_spec

from enxuto.errors import OutOfCapacity

LOCAL = (
    "jinja2",
    "ml_dtypes",
    "numpy",
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "safetensors",
    "scipy",
)


def require_local() -> None:
    """Raises OutOfCapacity where one of them is missing; imports none, since only a step's process does."""
    missing = [name for name in LOCAL if not _installed(name)]
    if missing:
        raise OutOfCapacity(
            f"Doing this here needs packages that are not installed: {', '.join(missing)}.",
            code="extra_missing",
            hint="Install them with: pip install 'enxuto[local]'. Or let a server do it: --server URL, and in Python "
            "enxuto.Client(URL).",
        )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
