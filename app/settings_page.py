"""``python -m app.settings_page``: writes ``docs/settings.md``; with ``--check``, fails where it is stale."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from app.core.settings import Settings

PATH = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD = """# Settings

Every setting of the service is an environment variable. API, workers, sweep and `enxuto up` read the same ones. This
page is written by `python -m app.settings_page`.

| variable | default | what it is |
|---|---|---|
"""


def page() -> str:
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    if not field.description:
        raise ValueError(f"the setting {name} has no docstring")
    default = "" if field.default in (None, []) else f"`{field.default}`"
    return f"| `ENXUTO_{name.upper()}` | {default} | {' '.join(field.description.split())} |\n"


def main() -> None:
    if "--check" not in sys.argv[1:]:
        PATH.write_text(page(), encoding="utf-8")
    elif not PATH.is_file() or PATH.read_text(encoding="utf-8") != page():
        sys.exit(f"{PATH} is stale: run `python -m app.settings_page` and commit the change.")


if __name__ == "__main__":
    main()
