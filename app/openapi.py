"""``python -m app.openapi``: writes ``openapi/openapi.json``; with ``--check``, fails where it is stale."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from app.core.settings import Settings
from app.main import create_app

PATH = Path(__file__).parents[1] / "openapi" / "openapi.json"


def document() -> str:
    """The contract as text, whatever the environment says."""
    settings = Settings.model_construct(**{name: field.default for name, field in Settings.model_fields.items()})
    return json.dumps(create_app(settings).openapi(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    if "--check" not in sys.argv[1:]:
        PATH.write_text(document(), encoding="utf-8")
    elif not PATH.is_file() or PATH.read_text(encoding="utf-8") != document():
        sys.exit(f"{PATH} is stale: run `python -m app.openapi` and commit the change.")


if __name__ == "__main__":
    main()
