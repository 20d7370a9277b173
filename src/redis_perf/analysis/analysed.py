"""A suite with what its analysis found, so that several reports need analyse it only once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from redis_perf.analysis.findings import Finding, findings_of, suspects, together
from redis_perf.analysis.tally import Tallies, tallies
from redis_perf.analysis.waste import wasted
from redis_perf.suite import Suite, Tested


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """`calls` and `found` are of each test, in the order of the suite: what its call phase spent, and what to act on.
    `findings` are those of all tests, the same ones together."""

    suite: Suite
    calls: tuple[Tallies, ...]
    found: tuple[tuple[Finding, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def seen(self) -> Iterator[Seen]:
        """Of each test, in the order of the suite."""
        return map(Seen, self.calls, self.found)


class Seen(NamedTuple):
    """One test: what its call phase spent, and what to act on."""

    call: Tallies
    found: tuple[Finding, ...]


AT_ONCE: Final = 64
"""So many tests are looked at together: what they sent fits into a processor's cache."""


def seen(tests: Iterable[Tested], threshold: int) -> Iterator[Seen]:
    """Of each test. One kind of analysis after the other over some of them: the processor has its code at hand, and it
    takes a quarter less."""
    rest = iter(tests)
    while some := list(islice(rest, AT_ONCE)):
        calls = [tallies(tested.call) for tested in some]
        suspected = [list(suspects(tested, threshold)) for tested in some]
        waste = [wasted(tested.call.charged) if tested.call.round_trips else [] for tested in some]
        found = [tuple(findings_of(*of_test)) for of_test in zip(some, suspected, waste, strict=True)]
        yield from map(Seen, calls, found)


def analysed(suite: Suite) -> Analysed:
    looks = list(seen(suite, suite.threshold))
    return Analysed(
        suite=suite,
        calls=tuple([look.call for look in looks]),
        found=tuple([look.found for look in looks]),
        findings=tuple(together(each for look in looks for each in look.found)),
    )
