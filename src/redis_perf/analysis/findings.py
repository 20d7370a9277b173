"""What to act on in tests: failed budgets, suspected N+1 and waste, each with the line it is about.

What is found at one line by many tests is one finding of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from redis_perf.analysis.alike import alike
from redis_perf.analysis.n_plus_one import Suspect, n_plus_one
from redis_perf.analysis.waste import Kind, Waste
from redis_perf.suite import Tested
from redis_perf.trace import RoundTrip, Site

Rule: TypeAlias = Literal[
    "budget",
    "ratchet",
    "n-plus-one",
    "cold-script",
    "lonely-transaction",
    "prepare",
    "connecting",
    "keys",
    "large-reply",
    "repeated-read",
]

_RULES: Final[dict[Kind, Rule]] = {
    "cold script": "cold-script",
    "lonely transaction": "lonely-transaction",
    "prepare": "prepare",
    "connecting": "connecting",
    "KEYS": "keys",
    "large reply": "large-reply",
    "repeated read": "repeated-read",
}
BROKEN: Final = frozenset[Rule]({"budget", "ratchet"})
"""What is said of a test and of no line: its verdict. A suspected N+1 that failed one has its own."""
SHAPES_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`site` None: no line is known, so it is the test's own. `loop` is the line that runs again and again, where it is
    another one. `about` is what was asked, which with the rule and the function tells one finding from another when
    lines have moved. `failed`: a test failed for it. `saves` counts round trips, and `trips` are those it is about, in
    the dearest test."""

    rule: Rule
    text: str
    tests: tuple[Tested, ...]
    site: Site | None = None
    loop: Site | None = None
    about: str = ""
    saves: int = 0
    failed: bool = False
    trips: tuple[RoundTrip, ...] = field(default=(), compare=False, repr=False)

    @property
    def test(self) -> Tested:
        """The one it costs most in."""
        return self.tests[0]


def together(findings: Iterable[Finding]) -> list[Finding]:
    """The same ones of several tests as one, those that failed tests first, then the greatest saving."""
    found: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        where = finding.site or (finding.test.nodeid if finding.rule in BROKEN else finding.test.file)
        found.setdefault((finding.rule, where, finding.about), []).append(finding)
    return sorted(map(_as_one, found.values()), key=lambda each: (not each.failed, -each.saves))


def findings_of(tested: Tested, suspected: Iterable[Suspect], waste: Iterable[Waste]) -> Iterator[Finding]:
    """Of one test, from what its call phase is suspected of and wasted."""
    if tested.verdict is not None and tested.broken in BROKEN:
        yield Finding(rule=tested.broken, text=tested.verdict, tests=(tested,), about=tested.nodeid, failed=True)
    yield from [_suspected(tested, each) for each in suspected]
    yield from [_wasted(tested, each) for each in waste]


def _wasted(tested: Tested, waste: Waste) -> Finding:
    """Connections opened by a test are no finding: most tests open their own."""
    return Finding(
        rule=_RULES[waste.kind],
        text=waste.text,
        tests=(tested,),
        site=next((trip.site for trip in waste.trips if trip.site), None),
        about=_asked(waste.trips),
        saves=waste.saves,
        trips=waste.trips,
    )


def suspects(tested: Tested, threshold: int) -> Iterator[Suspect]:
    """Suspected N+1 of one test, without those that are meant to be so; a threshold of 0 suspects nothing."""
    if not threshold or len(tested.call.round_trips) < threshold:
        return
    meant = {(each.shape, each.site) for each in tested.meant}
    yield from (each for each in n_plus_one(tested.call, threshold) if (each.shape, each.site) not in meant)


def _suspected(tested: Tested, suspect: Suspect) -> Finding:
    several = suspect.different is not None and suspect.different < len(suspect.trips)
    different = f" with {suspect.different} different arguments" if several else ""
    return Finding(
        rule="n-plus-one",
        text=f"{len(suspect.trips)} x {suspect.shape}{different}: {suspect.fix} would be 1 round trip",
        tests=(tested,),
        site=suspect.site,
        loop=suspect.loop,
        about=suspect.shape,
        saves=suspect.saves,
        failed=tested.verdict is not None and tested.broken == "n-plus-one",
        trips=suspect.trips,
    )


def _asked(trips: Sequence[RoundTrip]) -> str:
    shapes = dict.fromkeys([operation.shape for same in alike(trips) for operation in same[0].operations])
    return "; ".join(list(shapes)[:SHAPES_NAMED])


def _as_one(alike: list[Finding]) -> Finding:
    dearest = sorted(alike, key=lambda each: -each.saves)
    tests = tuple(tested for each in dearest for tested in each.tests)
    return replace(dearest[0], tests=tests, failed=any(each.failed for each in alike))
