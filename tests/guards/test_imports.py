"""Who may import what: numeric packages stand only where steps run, and arrows between packages point left."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.tree import PACKAGES, modules

HEAVY = frozenset(
    {
        "numpy",
        "onnx",
        "onnx_ir",
        "onnxscript",
        "onnxruntime",
        "openvino",
        "scipy",
        "torch",
        "safetensors",
        "ml_dtypes",
        "matplotlib",
    }
)
HEAVY_HOMES = (
    "enxuto.model_file", "enxuto.dataset", "enxuto.graph", "enxuto.quantization", "enxuto.pruning",
    "enxuto.runtimes", "enxuto.measure", "enxuto.judge", "enxuto.render", "enxuto.serving", "enxuto.execution.perform",
)  # fmt: skip
LIGHT_ROOMS = (
    "enxuto.judge.speed",
    "enxuto.judge.enough",
    "enxuto.judge.roofline",
    "enxuto.judge.node_groups",
    "enxuto.judge.unrest",
)
LEFT_OF = {"enxuto": frozenset({"app", "workers"}), "app": frozenset({"workers"}), "workers": frozenset[str]()}
SCRIPTS = (".__main__", ".migrations.env")
"""Whoever imports them runs them."""
LIGHT_ENTRANCES = ("app.main", "workers.main", "enxuto", "enxuto.cli", "enxuto.client")


def may_be_heavy(module: str) -> bool:
    def within(homes: tuple[str, ...]) -> bool:
        return any(module == home or module.startswith(f"{home}.") for home in homes)

    return within(HEAVY_HOMES) and not within(LIGHT_ROOMS)


def imported(node: ast.AST) -> list[tuple[int, str]]:
    match node:
        case ast.Import(names=names, lineno=line):
            return [(line, alias.name.partition(".")[0]) for alias in names]
        case ast.ImportFrom(module=str(module), level=0, lineno=line):
            return [(line, module.partition(".")[0])]
    return []


def imports_when_loaded(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What loading the module imports: not what stands in functions, nor what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            yield from (found for child in node.orelse for found in imports_when_loaded(child))
            continue
        yield from imported(node)
        yield from imports_when_loaded(node)


@pytest.mark.parametrize("module", sorted(name for name in modules() if not may_be_heavy(name)))
def test_a_light_module_loads_no_numeric_package(module: str) -> None:
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    found = [f"line {line}: {package}" for line, package in imports_when_loaded(tree) if package in HEAVY]
    assert not found, (
        f"{module} imports {found} when it is loaded. The API and the Celery process read it: import inside the "
        "function that needs it, or move the code into a heavy folder (tests/guards/test_imports.py lists them)."
    )


def test_no_light_module_reaches_a_numeric_package_by_way_of_others() -> None:
    """The API and the Celery process import plans when a job comes, which no entrance shows."""
    light = sorted(name for name in modules() if not may_be_heavy(name) and not name.endswith(SCRIPTS))
    program = (
        "import importlib, sys\n"
        f"for name in {light!r}:\n"
        "    importlib.import_module(name)\n"
        f"    for package in sorted({set(HEAVY)!r} & set(sys.modules)):\n"
        "        sys.exit(f'importing {name} brought {package} along')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("entrance", LIGHT_ENTRANCES)
def test_a_light_process_has_no_numeric_package_in_it(entrance: str) -> None:
    program = f"import sys, {entrance}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [], f"importing {entrance} brought these along"


@pytest.mark.parametrize("package", PACKAGES)
def test_an_arrow_only_ever_points_left(package: str) -> None:
    found = [
        f"{name}:{line} imports {target}"
        for name, path in modules().items()
        if name.partition(".")[0] == package
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for line, target in imported(node)
        if target in LEFT_OF[package]
    ]
    assert not found, f"enxuto ← app ← workers: {found}"
