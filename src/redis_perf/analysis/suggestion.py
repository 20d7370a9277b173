"""How a trace could be had with fewer round trips, as far as a trace can tell.

It tells which commands followed each other, not whether one's arguments came from another's reply; so what hangs on
that is worded as a condition. Each suggestion says how many round trips it saves; they may overlap, so the savings
do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

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
        *_repeated(redis, _instead_of_commands),
        *_in_a_row(redis),
        *_repeated(postgres, _instead_of_statements),
        *(Suggestion(text=waste.text, saves=waste.saves) for waste in wasted(counted)),
    ]
    return sorted(found, key=lambda suggestion: -suggestion.saves)[:AT_MOST]


def keep_open(opened: Sequence[Opened], setup: Trace) -> Suggestion | None:
    """Connections opened inside the block, when their setup is what was charged."""
    waste = connecting(opened, setup)
    return None if waste is None else Suggestion(text=waste.text, saves=waste.saves)


# --- the same again and again

_MULTI_KEY = {
    "GET": "one MGET", "SET": "one MSET", "DEL": "one DEL of all keys", "UNLINK": "one UNLINK of all keys",
    "EXISTS": "one EXISTS of all keys", "JSON.GET": "one JSON.MGET",
}  # fmt: skip
_ONE_KEY = {
    "HGET": "one HMGET", "HSET": "one HSET of all fields", "SADD": "one SADD of all members",
    "ZADD": "one ZADD of all members", "RPUSH": "one RPUSH of all values", "LPUSH": "one LPUSH of all values",
    "SISMEMBER": "one SMISMEMBER", "ZSCORE": "one ZMSCORE",
}  # fmt: skip


def _instead_of_commands(name: str, shape: str) -> str:
    if name in _MULTI_KEY:
        return f"{_MULTI_KEY[name]}, or a pipeline,"
    if name in _ONE_KEY:
        return f"{_ONE_KEY[name]} if the key is the same, else a pipeline,"
    return "if none needs another's reply, one pipeline"


def _instead_of_statements(name: str, shape: str) -> str:
    if name == "INSERT":
        return "one multi-row INSERT, or INSERT ... SELECT FROM unnest(...),"
    if name == "UPDATE":
        return "one UPDATE with = ANY($1), or UPDATE ... FROM unnest(...),"
    if name in ("SELECT", "DELETE") and " WHERE " in shape:
        return f"one {name} with = ANY($1)"
    return ""


def _repeated(trips: Iterable[RoundTrip], instead_of: Callable[[str, str], str]) -> Iterator[Suggestion]:
    for group in spending(trips):
        count = len(group.trips)
        if count < 2 or len(group.shapes) != 1 or any(trip.waited for trip in group.trips):
            continue
        instead = instead_of(group.trips[0].operations[0].name, group.shapes[0])
        if instead:
            yield Suggestion(text=f"{count} x {group.shapes[0]}: {instead} would be 1 round trip", saves=count - 1)


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
