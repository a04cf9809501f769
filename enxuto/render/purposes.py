"""What the files are for that come with a report."""

from __future__ import annotations

from collections.abc import Iterable

_PURPOSES = {
    "settings.json": "how to set up the runtime, under its own names",
    "load_model.py": "loads the model with these settings; needs the runtime and nothing else",
    "config.pbtxt": "the plan for NVIDIA Triton Inference Server",
    "serve.py": "a small server that serves by the plan",
    "batcher.py": "the dynamic batcher that the server uses",
}


def purposes(names: Iterable[str]) -> dict[str, str]:
    return {name: _PURPOSES.get(name, "") for name in names}
