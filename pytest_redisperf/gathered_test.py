"""One test of a suite, put together from its reports as they come in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_redisperf.fixture_accounts import Window, at_work, inner_first
from pytest_redisperf.handing import Sent
from redis_perf import Opened, Problem, RoundTrip, Trace
from redis_perf.report.secrets import redacted
from redis_perf.suite import WHENS, FixtureSpent, Outcome, Tested, When


class GatheredTest:
    """One test while its reports come in. What a worker sent stays text until all have come: it is less to keep, and
    nothing that Python would look through for cycles again and again while tests run."""

    def __init__(self, report: pytest.TestReport) -> None:
        self._nodeid = report.nodeid
        self._file, self._line, _ = report.location
        self._outcome: Outcome = "passed"
        self._sent: list[tuple[When, Sent | str]] = []
        self.unread: str | None = None
        """Why something that a worker sent is missing."""

    def add(self, report: pytest.TestReport, sent: Sent | str | None) -> None:
        if report.when == "setup":  # anew, where another plugin runs it again
            self._sent = []
        self._outcome = _outcome(report, self._outcome)
        if sent is not None and report.when in WHENS:
            self._sent.append((report.when, sent))

    def tested(self) -> Tested:
        sent = [(when, each) for when, text in self._sent if (each := self._read(text)) is not None]
        verdict = next((each.verdict for _, each in reversed(sent) if each.verdict is not None), None)
        return Tested(
            nodeid=redacted(self._nodeid),
            outcome=self._outcome,
            file=self._file.replace("\\", "/"),
            line=None if self._line is None else self._line + 1,
            phases={when: _redacted(each.trace) for when, each in sent},
            fixtures=tuple([spent for _, each in sent for spent in _fixtures(each)]),
            verdict=None if verdict is None else redacted(verdict.text),
            broken="budget" if verdict is None else verdict.broken,
            meant=tuple([meant for _, each in sent for meant in each.meant]),
        )

    def _read(self, sent: Sent | str) -> Sent | None:
        if isinstance(sent, Sent):
            return sent
        try:
            return Sent.of(sent)
        except Exception as error:
            self.unread = f"what a worker sent of {self._nodeid} cannot be read: {type(error).__name__}: {error}"
            return None


def _outcome(report: pytest.TestReport, before: Outcome) -> Outcome:
    expected = hasattr(report, "wasxfail")
    if report.failed:
        return "failed" if report.when != "setup" and (report.when != "teardown" or before == "failed") else "error"
    if report.skipped:
        return "xfailed" if expected else "skipped"
    if report.when == "call":
        return "xpassed" if expected else "passed"
    return "passed" if report.when == "setup" else before


def _redacted(trace: Trace) -> Trace:
    if not trace.problems and not trace.notes:
        return trace
    problems = tuple(
        Problem(redacted(each), each.store, each.server, each.name) if isinstance(each, Problem) else redacted(each)
        for each in trace.problems
    )
    return replace(trace, problems=problems, notes=tuple(map(redacted, trace.notes)))


def _fixtures(sent: Sent) -> Iterator[FixtureSpent]:
    """Each round trip and connection goes to the fixture that was at work, the innermost if several were."""
    inner = inner_first(sent.windows)
    trips: dict[Window | None, list[RoundTrip]] = defaultdict(list)
    opened: dict[Window | None, list[Opened]] = defaultdict(list)
    for trip in sent.trace.round_trips if inner else ():
        trips[at_work(inner, trip.started_ns)].append(trip)
    for each in sent.trace.opened if inner else ():
        opened[at_work(inner, each.at_ns)].append(each)
    for window in sorted(inner, key=lambda window: window.until_ns):
        if trips[window] or opened[window]:
            trace = Trace(tuple(trips[window]), tuple(opened[window]), purposes=sent.trace.purposes)
            yield FixtureSpent(name=window.name, scope=window.scope, when=window.when, trace=trace)  # type: ignore[arg-type]
