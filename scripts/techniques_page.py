"""Writes docs/techniques.md from the technique classes; with --check, refuses a page that is out of date."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any, get_args

from enxuto.techniques import AnyTechnique, Technique

PAGE = Path(__file__).parents[1] / "docs" / "techniques.md"
HEAD = """# Techniques

Generated from the classes in `enxuto/techniques/` by `make generate`. A recipe lists techniques in the order in which
they are applied, as JSON: `[{"kind": "magnitude_pruning", "ratio": 0.5}, {"kind": "static_int8"}]`. The same catalogue,
with a JSON Schema each, is served under `GET /v1/techniques` and printed by `enxuto techniques`.
"""
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def techniques() -> tuple[type[Technique], ...]:
    union, _ = get_args(AnyTechnique)
    members: tuple[type[Technique], ...] = get_args(union)
    return members


def page() -> str:
    return "\n".join([HEAD, *(section(technique) for technique in techniques())])


def section(technique: type[Technique]) -> str:
    schema = technique.model_json_schema()
    kind = schema["properties"].pop("kind")["const"]
    lines = [f"## `{kind}`", "", inspect.getdoc(technique) or "", "", properties(technique), ""]
    if schema["properties"]:
        lines += ["| parameter | values | default | |", "|---|---|---|---|"]
        lines += [parameter(name, field) for name, field in schema["properties"].items()]
        lines += [""]
    return "\n".join(lines)


def properties(technique: type[Technique]) -> str:
    data = "Needs calibration data." if technique.needs_calibration else "Needs no data."
    loss = "Outputs stay the same up to rounding." if technique.lossless else "Outputs change."
    return f"{data} {loss} On the test models they stay within {technique.max_drift:g} (relative L2 distance)."


def parameter(name: str, field: dict[str, Any]) -> str:
    default = json.dumps(field["default"]) if "default" in field else "needed"
    return f"| `{name}` | {values(field)} | `{default}` | {field.get('description', '')} |"


def values(field: dict[str, Any]) -> str:
    """What a field takes, in words: `number ≥ 0, ≤ 0.99, or null`."""
    if "anyOf" in field:
        return ", or ".join(values(choice) for choice in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    bounds = [f"{sign} {field[key]:g}" for key, sign in BOUNDS.items() if key in field]
    return " ".join([str(field.get("type", "any")), ", ".join(bounds)]).strip()


def main() -> int:
    text = page()
    if sys.argv[1:] == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE.name} is out of date: run `make generate` and commit it", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
