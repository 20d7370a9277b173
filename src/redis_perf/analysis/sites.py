"""Which of the user's lines spent most, whatever they asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from redis_perf.analysis.spending import Group, spending
from redis_perf.trace import RoundTrip, Site, StoreTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class Spender:
    """One line (None: not seen) and what it asked, in order of appearance."""

    site: Site | None
    groups: tuple[Group, ...]

    @property
    def spent(self) -> StoreTrace:
        """What it spent, over both stores."""
        return StoreTrace(tuple(trip for group in self.groups for trip in group.trips), ())


def spenders(trips: Iterable[RoundTrip]) -> list[Spender]:
    """Every line, the one with most round trips first; equals in order of appearance."""
    groups: dict[Site | None, list[Group]] = {}
    for group in spending(trips):
        groups.setdefault(group.site, []).append(group)
    found = [Spender(site=site, groups=tuple(members)) for site, members in groups.items()]
    return sorted(found, key=lambda spender: -spender.spent.round_trips)
