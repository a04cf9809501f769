"""Kinds of processor that integers are laid out for: what decides is how products of 8-bit numbers are added up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

Processor = Literal["x86_vnni", "x86_avx2", "arm"]
"""``x86_vnni``: sums of U8 × S8 products in 32 bits. ``x86_avx2``: pairs of products are added in 16 bits first and
saturate there. ``arm``: sums in 32 bits, S8 × S8."""

_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_ARM = frozenset({"neon", "asimd", "asimddp", "i8mm"})


def processor_of(instruction_sets: Collection[str]) -> Processor:
    """The kind that a processor with these instruction sets, named as in ``/proc/cpuinfo``, belongs to."""
    if _ARM.intersection(instruction_sets):
        return "arm"
    return "x86_vnni" if _VNNI.intersection(instruction_sets) else "x86_avx2"
