"""What a run of tests spent, as values: a `Suite` of `Tested`, each with a trace for each of its phases.

Made by the pytest plugin, in one process or gathered from many; read by every report about more than one test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeAlias

from redis_perf.trace import Site, Trace

When: TypeAlias = Literal["setup", "call", "teardown"]
Outcome: TypeAlias = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"]

Broken: TypeAlias = Literal["budget", "n-plus-one", "ratchet"]
"""What a test can be failed by: its budget, a suspected N+1 where those fail, more than its baseline."""

_NOTHING: Final = Trace()
WHENS: tuple[When, ...] = ("setup", "call", "teardown")


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureSpent:
    """What setting up (or tearing down: `when`) one fixture spent. `scope` is pytest's; a fixture that is shared by
    several tests is charged to the one whose phase ran it."""

    name: str
    scope: str
    when: When
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """A suspected N+1 that is meant to be so, by what it asks and where: no report shows it."""

    shape: str
    site: Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One test. `file` is relative to the suite's root, `line` counts from 1; None where pytest knew none.

    `phases` holds those that ran. `verdict` is the whole text when one of ours failed the test, `broken` says which.
    """

    __test__: ClassVar[bool] = False  # its name alone would make pytest take it for a class of tests

    nodeid: str
    outcome: Outcome
    file: str | None = None
    line: int | None = None
    phases: Mapping[When, Trace] = field(default_factory=dict, hash=False)
    fixtures: tuple[FixtureSpent, ...] = ()
    verdict: str | None = None
    broken: Broken = "budget"
    meant: tuple[Meant, ...] = ()

    @property
    def call(self) -> Trace:
        """What the test itself spent, setup and teardown apart; an empty trace where it did not run."""
        return self.phases.get("call", _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tests in the order they ran. `root` is the absolute directory their files are named relative to.

    `incomplete` says what is missing and why (a worker crashed): a report over it shows these sentences first.
    `threshold` is how often the same must be asked to be suspected of an N+1; 0: nothing is.
    """

    tests: tuple[Tested, ...] = ()
    root: str = ""
    networks_ns: tuple[int, ...] = ()
    incomplete: tuple[str, ...] = ()
    threshold: int = 3

    def __iter__(self) -> Iterator[Tested]:
        return iter(self.tests)
