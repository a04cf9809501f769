"""A recipe: an ordered list of techniques with their parameters."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from pydantic import Field

from enxuto.techniques import AnyTechnique

Recipe = Annotated[list[AnyTechnique], Field(min_length=1, max_length=16)]
TriedRecipe = Annotated[list[AnyTechnique], Field(max_length=16)]
"""What a candidate came about by: none at all, where only the settings are others."""


def recipe_name(recipe: list[AnyTechnique]) -> str:
    """How a recipe is called in tables: ``magnitude_pruning(ratio=0.5) → static_int8``."""
    return " → ".join(_technique_name(technique) for technique in recipe) or "original"


def _technique_name(technique: AnyTechnique) -> str:
    given = technique.model_dump(exclude_defaults=True, exclude={"kind"})
    arguments = ", ".join(f"{key}={_argument(value)}" for key, value in given.items())
    return f"{technique.kind}({arguments})" if arguments else technique.kind


def _argument(value: object) -> str:
    """Long lists by their length and a digest: names must tell recipes apart and fit into a table."""
    if not isinstance(value, list) or len(value) < 3:
        return str(value)
    digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()
    return f"{len(value)} names, {digest[:6]}"
