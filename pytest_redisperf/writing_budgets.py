"""`--redisperf-write-budgets`: what each test spent becomes its marker, in the source.

`=diff` shows the difference, `=write` writes it. Only tests that passed are written, each with
the most that any of its parameters or repetitions spent in the call phase; a test that sent nothing gets no marker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import TYPE_CHECKING, TypeAlias

import pytest

from pytest_redisperf.phase import Phase
from redis_perf.report.units import count
from redis_perf.trace import STORES
from redis_perf.whole_file import write_whole

if TYPE_CHECKING:
    from redis_perf.source_budgets import Names, Rewritten

Budgets: TypeAlias = "dict[Names, dict[str, int]]"
MISSING = "--redisperf-write-budgets needs libcst: pip install 'pytest-redisperf[write]'"


class WritingBudgets:
    """Gathers in the process that prints, and writes at its end."""

    def __init__(self, config: pytest.Config, *, write: bool) -> None:
        """Raises UsageError without libcst."""
        try:
            import libcst  # noqa: F401
        except ImportError as error:
            raise pytest.UsageError(MISSING) from error
        self._root = config.rootpath
        self._write = write
        self._budgets: dict[str, Budgets] = {}
        self._failed: set[tuple[str, Names]] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        names = _names(report.nodeid)
        file = report.location[0]
        if report.failed or (report.skipped and report.when == "call"):
            self._failed.add((file, names))
        phase: Phase | None = getattr(report, "redisperf", None)
        if report.when != "call" or phase is None:
            return
        spent = self._budgets.setdefault(file, {}).setdefault(names, {})
        for store in STORES:
            trips = phase[store]["round_trips"]
            if trips:
                spent[store] = max(trips, spent.get(store, 0))

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_sep("=", "redisperf budgets")
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> Iterator[str]:
        """What changes, file by file; it is written on the way if it is to be."""
        changed = 0
        for file, budgets in sorted(self._budgets.items()):
            wanted = {name: spent for name, spent in budgets.items() if spent and (file, name) not in self._failed}
            lines = list(self._file(file, wanted)) if wanted else []
            changed += any(line.startswith("@@") for line in lines)
            yield from lines
        done = "written" if self._write else "would change"
        how = "" if self._write or not changed else "; --redisperf-write-budgets=write writes it"
        yield f"{count(changed, 'file')} {done}{how}" if changed else "every budget in the source is what was spent"

    def _file(self, file: str, budgets: Mapping[Names, Mapping[str, int]]) -> Iterator[str]:
        from redis_perf.source_budgets import rewritten

        path = self._root / file
        try:
            with open(path, encoding="utf-8", newline="") as opened:
                before = opened.read()
            result = rewritten(before, budgets)
        except (OSError, UnicodeDecodeError, SyntaxError) as error:
            yield f"{file}: left as it is: {error}"
            return
        yield from self._left(file, result)
        if result.source != before:
            yield from _difference(file, before, result.source)
            if self._write:
                write_whole(path, [result.source])

    def _left(self, file: str, result: Rewritten) -> Iterator[str]:
        for names in result.left:
            yield f"{file}::{'::'.join(names)}: left as it is: its marker holds more than plain numbers"


def _names(nodeid: str) -> Names:
    """`tests/a.py::TestB::test_c[1-x]` is `("TestB", "test_c")`."""
    names = nodeid.partition("[")[0].split("::")[1:]
    return tuple(names)


def _difference(file: str, before: str, after: str) -> Iterator[str]:
    lines = unified_diff(before.splitlines(), after.splitlines(), f"a/{file}", f"b/{file}", lineterm="")
    yield from lines
