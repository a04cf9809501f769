"""What Pydantic says against a value, in words for whoever sent it, who need not know Pydantic or read patterns."""

from __future__ import annotations

from typing import Any

from pydantic_core import ErrorDetails


def refusal(error: ErrorDetails) -> str:
    """One fault as a sentence without its full stop."""
    context: dict[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return "There is no such field"
        case "missing":
            return "This field is needed"
        case "union_tag_not_found":
            return f"The field {context['discriminator']} is needed: it says which kind this is"
        case "union_tag_invalid":
            return f"There is no kind '{_short(context['tag'])}'; there are {context['expected_tags']}"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
    # "at most 16 items after validation, not 30000": a sender knows of no validation
    return error["msg"].replace(" after validation", "").replace("Dictionary", "Object")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"
