"""The machine that numbers hold for, read without any heavy package."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

from enxuto.schema import Value

_LIBRARIES = ("enxuto", "numpy", "onnx", "onnx-ir", "onnxruntime", "onnxscript", "openvino", "scipy")
_INSTRUCTION_SETS = (
    "sse4_2", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_int8", "amx_bf16", "neon", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


class Machine(Value):
    """A target: the kind of machine that workers measure on."""

    processor: str
    architecture: str
    instruction_sets: list[str]
    cores: int
    """That this process may run on."""
    memory_bytes: int
    system: str
    python: str
    libraries: dict[str, str]
    """Version of every library that touches the numbers."""

    @property
    def has_bfloat16(self) -> bool:
        """Whether the processor multiplies bfloat16 by itself."""
        return not _BFLOAT16.isdisjoint(self.instruction_sets)

    @property
    def fingerprint(self) -> str:
        """Digest: numbers measured on a machine with another one are measured again."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


@cache
def this_machine() -> Machine:
    processor, flags = _read_cpuinfo()
    return Machine(
        processor=processor,
        architecture=platform.machine(),
        instruction_sets=[name for name in _INSTRUCTION_SETS if name in flags],
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        libraries=_versions(),
    )


def _read_cpuinfo() -> tuple[str, frozenset[str]]:
    processor, flags = platform.processor() or platform.machine(), frozenset[str]()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        match key.strip():
            case "model name":
                processor = value.strip()
            case "flags" | "Features":
                flags = frozenset(value.split())
                break
    return processor, flags


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
