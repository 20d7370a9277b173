"""What of a test is worth a look, with the round trips it is about: suspected N+1 and waste."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from redis_perf.analysis.findings import suspects
from redis_perf.analysis.n_plus_one import Suspect
from redis_perf.analysis.waste import Waste, wasted
from redis_perf.suite import Tested
from redis_perf.trace import RoundTrip, Site

N_PLUS_ONE: Final = "N+1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`about` is what was asked; with the kind and the site it tells this problem from others of a suite. `loop` is the
    line that runs again and again, where it is known and another one."""

    kind: str
    text: str
    saves: int
    about: str
    site: Site | None
    loop: Site | None
    trips: tuple[RoundTrip, ...]


def problems(tested: Tested, threshold: int) -> list[Problem]:
    """The greatest saving first."""
    trips = tested.call.charged
    if not trips:
        return []
    found = [*map(_suspected, suspects(tested, threshold)), *map(_wasted, wasted(trips))]
    return sorted(found, key=lambda problem: -problem.saves)


def _suspected(suspect: Suspect) -> Problem:
    return Problem(
        kind=N_PLUS_ONE,
        text=f"{len(suspect.trips)} x {suspect.shape}{_different(suspect)}: {suspect.fix} would be 1 round trip",
        saves=suspect.saves,
        about=suspect.shape,
        site=suspect.site,
        loop=suspect.loop,
        trips=suspect.trips,
    )


def _different(suspect: Suspect) -> str:
    several = suspect.different is not None and suspect.different < len(suspect.trips)
    return f" with {suspect.different} different arguments" if several else ""


def _wasted(waste: Waste) -> Problem:
    return Problem(
        kind=waste.kind,
        text=waste.text,
        saves=waste.saves,
        about=next(_shapes(waste), ""),
        site=next((trip.site for trip in waste.trips if trip.site), None),
        loop=None,
        trips=waste.trips,
    )


def _shapes(waste: Waste) -> Iterator[str]:
    return (operation.shape for trip in waste.trips for operation in trip.operations)
