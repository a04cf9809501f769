from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.parts import Parts, open_parts
from tests.support.database import fresh_database


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with fresh_database(tmp_path) as settings:
        parts = open_parts(settings)
        yield parts
        parts.engine.dispose()
