from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.live_service import LiveService, live_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """One running service for all tests that leave it as it was, but for what they add."""
    with live_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def http(service: LiveService) -> httpx.Client:
    return service.http
