"""`--redisperf-keep-failed`: the database of a failed test stays, and the report says how to get in.

The server that holds it then lives on after the run, for an hour or until it is told to end.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_redisperf.isolation import KEEP, LENT

TITLE = "redisperf: the database of this test is kept"
KEPT_S = 3600
"""How long the server lives on after its first failed test."""
NOT_KEPT = "not kept: {choice} ends with the run; --redisperf-keep-failed needs a server from embedded or system"


class KeepFailed:
    """A plugin, registered when it is wanted."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._kept: dict[str, str] = {}
        self._process: int | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and report.when != "teardown" and LENT in item.stash:
            report.sections.append((TITLE, self._keep(item)))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for title, content in report.sections:
            if title == TITLE:
                self._kept[report.nodeid] = content

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._kept:
            terminalreporter.write_sep("=", "redisperf: kept databases")
        for test, content in self._kept.items():
            terminalreporter.write_line(f"{test}\n    " + content.replace("\n", "\n    "))

    def _keep(self, item: pytest.Item) -> str:
        from pytest_redisperf.servers import servers_of

        server: Any = servers_of(self._config).postgres[0]
        if not hasattr(server, "outlive"):
            return NOT_KEPT.format(choice=server.choice)
        if self._process is None:
            self._process = server.outlive(KEPT_S)
        item.stash[KEEP] = True
        return (
            f"psql '{item.stash[LENT].dsn}'\nfor {KEPT_S // 60} minutes; to end its server sooner: kill {self._process}"
        )
