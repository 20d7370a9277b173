"""What the phases of a test sent, handed on by each process that runs tests.

To the one that prints directly if it is the same, from a worker of xdist as plain text on the TestReport.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import NamedTuple
from weakref import WeakKeyDictionary

import pytest

from pytest_redisperf.faults import OwnFaults
from pytest_redisperf.fixture_accounts import PHASE_RECORDING, PHASE_WINDOWS, Window
from pytest_redisperf.spending import Verdict, verdict_of
from pytest_redisperf.suspects import MEANT
from redis_perf import Recording, Site, Trace
from redis_perf.report.compact import packed, unpacked
from redis_perf.suite import WHENS, Meant


class Sent(NamedTuple):
    """What one phase sent. `verdict`: one of ours failed it."""

    trace: Trace
    windows: tuple[Window, ...]
    verdict: Verdict | None
    meant: tuple[Meant, ...] = ()

    def plain(self) -> str:
        """As ASCII text: what travels between processes cannot hold half a character, and a trace can."""
        meant = [[each.shape, *each.site] for each in self.meant]
        return json.dumps([packed(self.trace), self.windows, self.verdict, meant], separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Sent:
        trace, windows, verdict, meant = json.loads(text)
        return cls(
            unpacked(trace),
            tuple(Window(*window) for window in windows),
            None if verdict is None else Verdict(*verdict),
            tuple(Meant(shape=shape, site=Site(*site)) for shape, *site in meant),
        )


class Handing:
    """In every process that runs tests."""

    def __init__(self, *, away: bool) -> None:
        self._away = away
        self._sent: WeakKeyDictionary[pytest.TestReport, Sent] = WeakKeyDictionary()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        with OwnFaults(item, f"handing on what its {call.when} phase sent"):
            recording = item.stash.get(PHASE_RECORDING, None)
            if recording is not None and _ended(recording) and call.when in WHENS:
                meant = item.stash.get(MEANT, []) if call.when == "call" else []
                windows = item.stash.get(PHASE_WINDOWS, ())
                sent = Sent(recording.trace, windows, verdict_of(item, call), tuple(meant))
                if self._away:
                    report.redisperf_sent = sent.plain()  # type: ignore[attr-defined]
                else:
                    self._sent[report] = sent
                del item.stash[PHASE_RECORDING]
        return report

    def take(self, report: pytest.TestReport) -> Sent | str | None:
        """What came with the report, once; as text where it came from a worker."""
        text: str | None = report.__dict__.pop("redisperf_sent", None)
        return self._sent.pop(report, None) if text is None else text


def _ended(recording: Recording) -> bool:
    """A phase may make reports on its way: those of its subtests."""
    return recording.recorder is None
