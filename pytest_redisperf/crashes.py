"""Workers of xdist that crashed, and what they were running: what they had sent is missing from every report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

NAME = "redisperf-crashes"


class Crashes:
    """In the process that prints."""

    def __init__(self) -> None:
        self._crashed: dict[str, str | None] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error:
            self._crashed.setdefault(node.gateway.id, None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        self._crashed[report.node.gateway.id] = crashitem

    def __iter__(self) -> Iterator[str]:
        """A sentence for each."""
        for worker, test in self._crashed.items():
            ran = "between two tests" if test is None else f"while it ran {test}"
            yield f"worker {worker} crashed {ran}: what it had sent in that time is missing"


def crashes_of(config: pytest.Config) -> Crashes:
    """Those of this run, noted from the first call on."""
    crashes: Crashes | None = config.pluginmanager.get_plugin(NAME)
    if crashes is None:
        crashes = Crashes()
        config.pluginmanager.register(crashes, NAME)
    return crashes
