"""Which peers there are, what each can be asked for, and where it is installed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
Kind = Literal["products", "transformer", "other"]
"""Of models: with products by weights, with attention, without."""


@dataclass(frozen=True)
class Method:
    name: str
    models: Kind | None = None
    """For which models it is meant, None for all: there is no use in SmoothQuant without attention."""

    def is_for(self, kinds: Collection[Kind]) -> bool:
        return self.models is None or self.models in kinds


@dataclass(frozen=True)
class Peer:
    name: str
    methods: tuple[Method, ...]

    @property
    def script(self) -> Path:
        return HERE / f"by_{self.name}.py"

    @property
    def requirements(self) -> Path:
        return HERE / f"requirements-{self.name}.txt"


PEERS = (
    Peer(
        "onnxruntime",
        (
            Method("static-minmax"),
            Method("static-percentile", "other"),
            Method("static-matmul", "transformer"),
            Method("dynamic"),
            Method("dynamic-per-channel"),
            Method("matmul-4-bits", "products"),
            Method("matmul-8-bits", "products"),
        ),
    ),
    Peer("nncf", (Method("ir"), Method("onnx"), Method("weights-int8"), Method("weights-int4"))),
    Peer(
        "neural_compressor",
        (Method("static"), Method("static-qdq"), Method("dynamic"), Method("smooth", "transformer")),
    ),
    Peer("olive", (Method("rtn", "products"), Method("hqq", "products"), Method("k-quant", "products"))),
)


def python_of(peer: Peer, environments: Path) -> Path:
    """Its interpreter, there or not."""
    return environments / peer.name / "bin" / "python"
