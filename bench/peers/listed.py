"""Which peers there are, what each can be asked for, and where it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
Kind = Literal["any", "transformer", "other"]


@dataclass(frozen=True)
class Method:
    name: str
    models: Kind = "any"
    """For which models it is meant: there is no use in SmoothQuant without products of matrices."""

    def is_for(self, *, transformer: bool) -> bool:
        return self.models == "any" or (self.models == "transformer") == transformer


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
            Method("dynamic", "transformer"),
            Method("dynamic-per-channel", "transformer"),
            Method("matmul-4-bits", "transformer"),
            Method("matmul-8-bits", "transformer"),
        ),
    ),
    Peer("nncf", (Method("ir"), Method("onnx"), Method("weights-int8"), Method("weights-int4"))),
    Peer(
        "neural_compressor",
        (Method("static"), Method("static-qdq"), Method("dynamic"), Method("smooth", "transformer")),
    ),
    Peer("olive", (Method("rtn", "transformer"), Method("hqq", "transformer"))),
)


def python_of(peer: Peer, environments: Path) -> Path:
    """Its interpreter, there or not."""
    return environments / peer.name / "bin" / "python"
