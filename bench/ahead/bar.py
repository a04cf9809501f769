"""What is to be reached where the bar is in numbers; elsewhere it is the best peer that was measured."""

from __future__ import annotations

from dataclasses import dataclass

MOST_DROP = 0.01
"""The upper bound of the drop's interval on confirmation samples."""


@dataclass(frozen=True)
class Bar:
    """Ratios to the FP32 model under onnxruntime's defaults, one thread."""

    batch_1: float
    batched: float
    """At the best of the batch sizes beyond one."""
    sqnr_db: float
    cpu_s: float
    """For one INT8 model, calibration included."""
    recipe: str
    """Which kind of INT8 that is."""
    most_bytes: int | None = None
    most_share: float | None = None
    """Of the original's bytes."""

    def bytes_allowed(self, original: int) -> int:
        if self.most_bytes is not None:
            return self.most_bytes
        return round((self.most_share or 1.0) * original)


BARS = {
    "resnet20-cifar10": Bar(2.4, 3.3, sqnr_db=30.0, cpu_s=1.5, recipe="static_int8", most_bytes=320_000),
    "minilm-l6-stsb": Bar(3.1, 3.6, sqnr_db=21.0, cpu_s=3.4, recipe="dynamic_int8", most_bytes=22_800_000),
    "mobilenetv2": Bar(2.5, 2.9, sqnr_db=22.6, cpu_s=8.0, recipe="static_int8", most_share=0.28),
}


def bar_of(case: str) -> Bar | None:
    """A case may carry more in its name: ``mobilenetv2-f32``."""
    return next((bar for name, bar in BARS.items() if case == name or case.startswith(f"{name}-")), None)
