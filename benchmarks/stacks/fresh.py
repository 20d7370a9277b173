"""This project's fixtures, with a new Redis for each test."""

import pytest

pytest_plugins = ["ours"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.redisperf_isolation(redis="fresh"))
