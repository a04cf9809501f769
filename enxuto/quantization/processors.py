"""Which integers a processor multiplies fast without saturating."""

from __future__ import annotations

from enxuto.processor import processor_of


def is_arm(instruction_sets: frozenset[str]) -> bool:
    return processor_of(instruction_sets) == "arm"


def weight_limit(instruction_sets: frozenset[str]) -> int:
    """Of an int8 weight's magnitude. AVX2 without VNNI adds two products in 16 bits: 7-bit weights cannot flood it."""
    return 63 if processor_of(instruction_sets) == "x86_avx2" else 127
