"""How a trace could be had with fewer round trips, as far as a trace can tell.

It tells which commands followed each other, not whether one's arguments came from another's reply; so what hangs on
that is worded as a condition. Each suggestion says how many round trips it saves; they may overlap, so the savings
do not add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from redis_perf.analysis.fix import fix
from redis_perf.analysis.spending import spending
from redis_perf.analysis.waste import connecting, wasted
from redis_perf.trace import Opened, RoundTrip, Trace

AT_MOST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What to do instead, and the round trips it saves."""

    text: str
    saves: int


def suggestions(trips: Sequence[RoundTrip]) -> list[Suggestion]:
    """The best two for these round trips, the greatest saving first."""
    counted = [trip for trip in trips if trip.answer == "complete" and trip.purpose != "setup"]
    redis = [trip for trip in counted if trip.store == "redis"]
    postgres = [trip for trip in counted if trip.store == "postgres"]
    found = [
        *_repeated(redis),
        *_in_a_row(redis),
        *_repeated(postgres),
        *(Suggestion(text=waste.text, saves=waste.saves) for waste in wasted(counted)),
    ]
    return sorted(found, key=lambda suggestion: -suggestion.saves)[:AT_MOST]


def keep_open(opened: Sequence[Opened], setup: Trace) -> Suggestion | None:
    """Connections opened inside the block, when their setup is what was charged."""
    waste = connecting(opened, setup)
    return None if waste is None else Suggestion(text=waste.text, saves=waste.saves)


# --- the same again and again


def _repeated(trips: Iterable[RoundTrip]) -> Iterator[Suggestion]:
    for group in spending(trips):
        count = len(group.trips)
        if count < 2 or len(group.shapes) != 1 or any(trip.waited for trip in group.trips):
            continue
        first = group.trips[0]
        through = None if first.path is None else first.path.through
        instead = fix(group.store, first.operations[0].name, group.shapes[0], through=through)
        if instead and not _asked_again(group.trips):
            yield Suggestion(text=f"{count} x {group.shapes[0]}: {instead} would be 1 round trip", saves=count - 1)


def _asked_again(trips: Sequence[RoundTrip]) -> bool:
    """Always with the same arguments, which is another matter: see `analysis.waste`."""
    arguments = {trip.arguments for trip in trips}
    return len(arguments) == 1 and None not in arguments


# --- different commands one after another


def _in_a_row(trips: Sequence[RoundTrip]) -> Iterator[Suggestion]:
    """The longest run on one connection from within one function, if it is not the same command throughout."""
    longest: list[RoundTrip] = []
    for _, of_connection in groupby(sorted(trips, key=_connection), key=_connection):
        for place, members in groupby(of_connection, key=_function):
            run = list(members)
            if place is not None and len(run) > len(longest) and len(spending(run)) > 1:
                longest = run
    if len(longest) > 1:
        what = "commands" if all(len(trip.operations) == 1 for trip in longest) else "round trips"
        yield Suggestion(
            text=f"{len(longest)} {what} in a row on one connection: if none needs another's reply, "
            "one pipeline or MULTI would be 1 round trip",
            saves=len(longest) - 1,
        )


def _connection(trip: RoundTrip) -> int:
    return trip.connection


def _function(trip: RoundTrip) -> tuple[str, str] | None:
    """Where a run goes on. A command that blocks ends it: it is meant to wait."""
    return None if trip.site is None or trip.waited else (trip.site.file, trip.site.function)
