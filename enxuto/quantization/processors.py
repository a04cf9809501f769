"""Which integers a processor multiplies fast without saturating."""

from __future__ import annotations

_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_ARM = frozenset({"neon", "asimd", "asimddp", "i8mm"})


def is_arm(instruction_sets: frozenset[str]) -> bool:
    return bool(instruction_sets & _ARM)


def weight_limit(instruction_sets: frozenset[str]) -> int:
    """Of an int8 weight's magnitude. AVX2 without VNNI adds two products in 16 bits: 7-bit weights cannot flood it."""
    return 127 if instruction_sets & (_VNNI | _ARM) else 63
