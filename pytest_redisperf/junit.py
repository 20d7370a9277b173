"""What all tests spent as properties of the JUnit XML's test suite; each test's own come with its report."""

from __future__ import annotations

from collections import Counter

import pytest
from _pytest.junitxml import xml_key

from pytest_redisperf.phase import Phase
from redis_perf.report.junit import properties


class Totals:
    """In the process that prints."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._totals: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        phase: Phase | None = getattr(report, "redisperf", None)
        if phase is not None and report.when == "call":
            self._totals.update(dict(properties(phase, phase["depth"])))  # type: ignore[arg-type]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Before it is written."""
        xml = self._config.stash.get(xml_key, None)
        if xml is not None:
            for name, number in self._totals.items():
                xml.add_global_property(name, number)
