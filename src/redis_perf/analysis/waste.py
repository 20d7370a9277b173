"""Round trips and bytes that buy nothing, whatever the code around them is for.

Unlike a suggestion (`analysis.suggestion`), which says how the same questions could be asked in fewer round trips,
waste is what need not be sent at all: scripts that are not there yet, transactions around one statement, statements
prepared on the way, connections opened inside, commands that read everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, TypeAlias

from redis_perf.analysis.alike import alike
from redis_perf.analysis.repeated_read import repeated_reads
from redis_perf.trace import Opened, Operation, RoundTrip, Trace

Kind: TypeAlias = Literal[
    "cold script", "lonely transaction", "prepare", "connecting", "KEYS", "large reply", "repeated read"
]
LARGE_BYTES: Final = 1 << 20
"""A reply of this size takes longer to send than a round trip within a zone takes."""

_COLD = frozenset({"cold script", "prepare"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """What it is, what to do instead, the round trips that saves (0: it saves something else), and those it was."""

    kind: Kind
    text: str
    saves: int
    trips: tuple[RoundTrip, ...]


def wastes(trace: Trace) -> list[Waste]:
    """Everything a whole trace wasted, the greatest saving first."""
    opening = connecting(trace.opened, trace.setup) if trace.opened else None
    found = [*wasted(trace.charged), *([opening] if opening else [])]
    return sorted(found, key=lambda waste: -waste.saves)


def wasted(trips: Sequence[RoundTrip]) -> list[Waste]:
    """What these round trips wasted by themselves."""
    counted = _counted(trips)
    if not counted:
        return []
    redis = [trip for trip in counted if trip.store == "redis"]
    postgres = [trip for trip in counted if trip.store == "postgres"] if len(redis) < len(counted) else []
    commands = [operation for trips in alike(redis) for operation in trips[0].operations]
    return [
        *(_cold_scripts(redis) if any(each.shape.startswith(("SCRIPT LOAD", "EVAL ")) for each in commands) else ()),
        *((*_lonely_transactions(postgres), *_prepares(postgres)) if postgres else ()),
        *(_keys(redis) if any(each.name == "KEYS" for each in commands) else ()),
        *_large_replies(counted),
        *_repeated_reads(counted),
    ]


def is_cold(trace: Trace) -> bool:
    """Whether something was done that only a first run does: connect, load a script, prepare a statement."""
    return bool(trace.opened) or any(waste.kind in _COLD for waste in wasted(trace.charged))


def _counted(trips: Sequence[RoundTrip]) -> list[RoundTrip]:
    return [trip for trip in trips if trip.answer == "complete"]


def _cold_scripts(trips: Sequence[RoundTrip]) -> Iterator[Waste]:
    """Scripts sent to the server, or found missing there, on the way."""
    loads = [trip for trip in trips if _all_shapes(trip, "SCRIPT LOAD", "SCRIPT EXISTS")]
    missing = [trip for trip in trips if any(each.failed and each.name == "EVALSHA" for each in trip.operations)]
    trips = (*loads, *missing)
    if trips:
        yield Waste(
            kind="cold script",
            text="a script was loaded inside the block: loading scripts once at start leaves only EVALSHA",
            saves=len(trips),
            trips=tuple(trips),
        )


def _all_shapes(trip: RoundTrip, *prefixes: str) -> bool:
    return bool(trip.operations) and all(each.shape.startswith(prefixes) for each in trip.operations)


def _lonely_transactions(trips: Sequence[RoundTrip]) -> Iterator[Waste]:
    """BEGIN, one statement, COMMIT: three round trips for one."""
    lonely: list[RoundTrip] = []
    for _, of_connection in groupby(sorted(trips, key=_connection), key=_connection):
        members = list(of_connection)
        verbs = [" ".join(each.name for each in trip.operations) for trip in members]
        for at, (before, verb, after) in enumerate(zip(verbs, verbs[1:], verbs[2:], strict=False)):
            alone = verb not in ("", "COMMIT") and " " not in verb
            if before in ("BEGIN", "START") and after in ("COMMIT", "END") and alone:
                lonely += (members[at], members[at + 2])
    count = len(lonely) // 2
    if count:
        times = "" if count == 1 else f", {count} times"
        yield Waste(
            kind="lonely transaction",
            text=f"BEGIN and COMMIT around a single statement{times}: with autocommit it is 1 round trip instead of 3",
            saves=2 * count,
            trips=tuple(lonely),
        )


def _connection(trip: RoundTrip) -> int:
    return trip.connection


def _prepares(trips: Sequence[RoundTrip]) -> Iterator[Waste]:
    prepares = tuple([trip for trip in trips if not trip.operations])
    if prepares:
        what = "1 round trip" if len(prepares) == 1 else f"{len(prepares)} round trips"
        yield Waste(
            kind="prepare",
            text=f"{what} executed nothing, most likely to prepare a statement: prepare_threshold=None leaves that out",
            saves=len(prepares),
            trips=prepares,
        )


def connecting(opened: Sequence[Opened], setup: Trace) -> Waste | None:
    """Connections opened inside the block, with what opening them took."""
    connections = {(each.store, each.connection) for each in opened}
    trips = tuple(trip for trip in _counted(setup.charged) if (trip.store, trip.connection) in connections)
    if not opened:
        return None
    what = "1 connection was" if len(opened) == 1 else f"{len(opened)} connections were"
    return Waste(
        kind="connecting",
        text=f"{what} opened inside the block: a pool, or a client that lives longer, keeps them open",
        saves=len(trips),
        trips=trips,
    )


def _keys(trips: Sequence[RoundTrip]) -> Iterator[Waste]:
    found = _with(trips, lambda each: each.name == "KEYS")
    if found:
        times = "" if len(found) == 1 else f", {len(found)} times"
        yield Waste(
            kind="KEYS",
            text=f"KEYS looks at every key of the server, which serves nobody else meanwhile{times}: SCAN, or a set of "
            "the keys, does not",
            saves=0,
            trips=found,
        )


def _with(trips: Sequence[RoundTrip], wanted: Callable[[Operation], bool]) -> tuple[RoundTrip, ...]:
    return tuple(trip for trip in trips if any(map(wanted, trip.operations)))


def _repeated_reads(trips: Sequence[RoundTrip]) -> Iterator[Waste]:
    groups = repeated_reads(trips)
    again = tuple([trip for group in groups for trip in group[1:]])
    if again:
        shape = "; ".join(each.shape for each in groups[0][0].operations[:2])
        others = "" if len(groups) == 1 else f", and {len(groups) - 1} more like it"
        yield Waste(
            kind="repeated read",
            text=f"{len(groups[0])} x {shape} with the same arguments, nothing written in between{others}: "
            "keep the answer, or cache it",
            saves=len(again),
            trips=again,
        )


def _large_replies(trips: Sequence[RoundTrip]) -> Iterator[Waste]:
    large = tuple([trip for trip in trips if (trip.received_bytes or 0) >= LARGE_BYTES])
    if large:
        most = max(trip.received_bytes or 0 for trip in large)
        what = "1 reply" if len(large) == 1 else f"{len(large)} replies"
        yield Waste(
            kind="large reply",
            text=f"{what} of a MiB or more (up to {most / (1 << 20):.1f} MiB): asking for less, or in parts, is faster "
            "than any number of round trips saved",
            saves=0,
            trips=large,
        )
