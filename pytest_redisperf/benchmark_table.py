"""The benchmarks of a run and what one call of each spends, as a table below pytest-benchmark's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from redis_perf.report.units import duration

MODELLED = "modelled_at_"


class Table:
    """In the process that prints: the benchmarks and what they spend, below pytest-benchmark's own table."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, dict[str, Any]]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        spent: dict[str, Any] | None = getattr(report, "redisperf_benchmark", None)
        if spent is not None:
            self._rows.append((report.nodeid, spent))

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._rows:
            terminalreporter.write_sep("=", "redisperf benchmarks: what one call spends")
            for line in table(self._rows):
                terminalreporter.write_line(line)


def table(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Counts, and the least a call waits on each network."""
    networks = [name for name in rows[0][1] if name.startswith(MODELLED)]
    headings = "".join(f"{'at ' + name.removeprefix(MODELLED).removesuffix('_ns'):>10}" for name in networks)
    yield f"{'redis':>7} {'postgres':>9} {'statements':>11} {'depth':>6} {'bytes':>10}{headings}"
    for nodeid, spent in rows:
        size = "not seen" if spent["bytes"] is None else spent["bytes"]
        waits = "".join(f"{duration(spent[name]):>10}" for name in networks)
        counts = (
            f"{spent['redis_round_trips']:>7} {spent['postgres_round_trips']:>9} {spent['postgres_statements']:>11}"
        )
        yield f"{counts} {spent['depth']:>6} {size:>10}{waits}  {nodeid}"
