"""What a technique tells whoever compares a model in memory with the one it was made from; never written to a file."""

from __future__ import annotations

FACTORS = "channel_factors"
"""Key into ``ir.Model.meta``: by name of each tensor whose channels were scaled, by how much, one number a channel."""
