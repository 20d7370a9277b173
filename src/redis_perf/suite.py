"""What a run of tests spent, as values: a `Suite` of `Tested`, each with a trace for each of its phases.

Made by the pytest plugin, in one process or gathered from many; read by every report about more than one test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from redis_perf.trace import Trace

When: TypeAlias = Literal["setup", "call", "teardown"]
Outcome: TypeAlias = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"]

WHENS: tuple[When, ...] = ("setup", "call", "teardown")
_NOTHING: Mapping[When, Trace] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureSpent:
    """What setting up (or tearing down: `when`) one fixture spent. `scope` is pytest's; a fixture that is shared by
    several tests is charged to the one whose phase ran it."""

    name: str
    scope: str
    when: When
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One test. `file` is relative to the suite's root, `line` counts from 1; None where pytest knew none.

    `phases` holds those that ran. `verdict` is the whole text when a budget failed the test.
    """

    nodeid: str
    outcome: Outcome
    file: str | None = None
    line: int | None = None
    phases: Mapping[When, Trace] = field(default=_NOTHING, hash=False)
    fixtures: tuple[FixtureSpent, ...] = ()
    verdict: str | None = None

    @property
    def call(self) -> Trace:
        """What the test itself spent, setup and teardown apart; an empty trace where it did not run."""
        return self.phases.get("call", Trace())


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tests in the order they ran. `root` is the absolute directory their files are named relative to.

    `incomplete` says what is missing and why (a worker crashed): a report over it shows these sentences first.
    """

    tests: tuple[Tested, ...] = ()
    root: str = ""
    networks_ns: tuple[int, ...] = ()
    incomplete: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Tested]:
        return iter(self.tests)
