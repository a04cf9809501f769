from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.database import fresh_database
from workers.parts import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with fresh_database(tmp_path) as settings:
        parts = Parts(settings)
        yield parts
        parts.engine.dispose()
