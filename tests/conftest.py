"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("pipeline", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("pipeline" if os.environ.get("CI") else "desk")
