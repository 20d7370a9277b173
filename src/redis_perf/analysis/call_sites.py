"""Which line spent a round trip that was seen on the wire, told by the same round trip seen inside its client.

A connection is known by its client's end, which both sides see, and times are of one clock where both are on one
machine. On a connection a client has the answer (as it sees it) only after that was passed on, and sends again only
after that. So the ends of the round trips seen inside cut a connection's time into pieces, one for each, and what
passed on the wire lies within the piece of the one it is. A round trip whose pieces disagree, or that asked what none
of them did, or for which there is none, keeps what it had: the line is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from redis_perf.trace import NETWORK_STEPS, RoundTrip, Site


@dataclass(frozen=True, slots=True)
class _Piece:
    """From the answer before it to its own; None: no end to it, for its answer has not come."""

    from_ns: int
    until_ns: int | None
    trip: RoundTrip

    def touches(self, trip: RoundTrip) -> bool:
        return trip.ended_ns > self.from_ns and (self.until_ns is None or trip.started_ns < self.until_ns)


def located(wire: Iterable[RoundTrip], inside: Iterable[RoundTrip]) -> tuple[RoundTrip, ...]:
    """Those of the wire, each with the site, path and lane of the round trip inside that it is, where that can be told.

    `inside`: of the connections that lead to where `wire` was seen, from at least as long a time.
    """
    ends: dict[str, list[RoundTrip]] = {}
    for trip in inside:
        if trip.client is not None:
            ends.setdefault(trip.client, []).append(trip)
    pieces = {client: list(_pieces(trips)) for client, trips in ends.items()}
    connects = {client: [trip for trip in trips if _is_step(trip)] for client, trips in ends.items()}
    return tuple(
        _located(trip, connects.get(trip.client, []) if _is_step(trip) else _same(trip, pieces.get(trip.client, [])))
        if trip.client is not None
        else trip
        for trip in wire
    )


def _pieces(trips: list[RoundTrip]) -> Iterator[_Piece]:
    """A port is used again when its connection is gone, so the connections are told apart."""
    for _, of_connection in groupby(sorted(trips, key=_order), key=lambda trip: trip.connection):
        before_ns: int | None = None
        for trip in of_connection:
            until_ns = None if trip.answer == "in flight" else trip.ended_ns
            yield _Piece(trip.started_ns if before_ns is None else before_ns, until_ns, trip)
            before_ns = trip.ended_ns


def _order(trip: RoundTrip) -> tuple[int, int, int]:
    return trip.connection, trip.started_ns, trip.ended_ns


def _same(trip: RoundTrip, pieces: Iterable[_Piece]) -> list[RoundTrip]:
    """The round trips inside that this one may be."""
    if trip.answer == "none owed":  # nothing tells when one of them is over
        return []
    if trip.answer == "in flight":  # it has begun, and that is all there is of it
        trip = replace(trip, ended_ns=trip.started_ns + 1)
    found = [piece.trip for piece in pieces if piece.touches(trip)]
    known = {operation.shape for each in found for operation in each.operations}
    return found if all(operation.shape in known for operation in trip.operations) else []


def _is_step(trip: RoundTrip) -> bool:
    """A connect is over on the wire whenever the proxy hears of it: its time says nothing."""
    return any(operation.name in NETWORK_STEPS for operation in trip.operations)


def _located(trip: RoundTrip, found: Sequence[RoundTrip]) -> RoundTrip:
    sites: set[Site | None] = {each.site for each in found}
    if len(sites) != 1:
        return trip
    lanes = {each.lane for each in found}
    paths = {each.path for each in found}
    return replace(
        trip,
        site=sites.pop(),
        lane=lanes.pop() if len(lanes) == 1 else trip.lane,
        path=paths.pop() if len(paths) == 1 else trip.path,
    )
