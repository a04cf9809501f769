"""Which integers a processor multiplies fast without saturating."""

from __future__ import annotations

from enxuto.processor import Processor


def weight_limit(processor: Processor) -> int:
    """Of an int8 weight's magnitude. AVX2 without VNNI adds two products in 16 bits: 7-bit weights cannot flood it."""
    return 63 if processor == "x86_avx2" else 127
