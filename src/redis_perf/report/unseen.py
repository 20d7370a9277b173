"""What a trace did not see, said plainly: budgets that prove nothing, requests without an answer, other processes."""

from __future__ import annotations

from collections.abc import Iterator

from redis_perf.budget import Budget
from redis_perf.report.numbers import servers
from redis_perf.report.units import count
from redis_perf.trace import StoreTrace, Tapped, Trace
from redis_perf.verdict import Verdict, charged, share_of


def not_measured(trace: Trace, found: Verdict, budget: Budget) -> Iterator[str]:
    """Why numbers are missing: first which, then who was listened to."""
    silent = [each for each in found.unmeasured if each.measure is None]
    for each in silent:
        yield _nothing(each.who)
    if silent:
        yield from _servers_seen(trace)
        yield from (f"  {tap_line(trace, tap)}" for tap in trace.taps)
        if not trace.taps:
            yield "  no client library was listened to"
        yield _way_out(silent[0].who)
    for each in found.unmeasured:
        if each.measure is not None:
            yield _size_not_seen(charged(trace, each.who, budget), each.who, each.measure)
    for problem in found.problems:
        yield f"not everything was seen: {problem}; what followed on that connection is not counted"


def not_counted(trace: Trace) -> Iterator[str]:
    """What the numbers leave out."""
    for store, share in (("redis", trace.redis), ("postgres", trace.postgres)):
        if share.lost:
            lost = count(share.lost, f"{store} request")
            yield f"{lost} got no reply before the connection ended: not counted as round trips"
        in_flight = sum(trip.answer == "in flight" for trip in share)
        if in_flight:
            waiting = count(in_flight, f"{store} request")
            yield f"{waiting} still waited for a reply at the end: not counted as round trips"
    if trace.children == 1:
        yield "1 process was started: what it sent is not counted"
    elif trace.children:
        yield f"{trace.children} processes were started: what they sent is not counted"


def tap_line(trace: Trace, tap: Tapped) -> str:
    """`redis-py 8.1.0: 3 round trips seen`, `psycopg: not installed`, `valkey-py 6.2: listening, never seen`.

    Where the trace does not know the client and two of one store listen, the number is the store's.
    """
    name = f"{tap.name} {tap.version}" if tap.version else tap.name
    if tap.problem is not None:
        return f"{name}: {tap.problem}"
    if tap.seen is not None:
        return f"{name}: {count(tap.seen, 'round trip')} seen" if tap.seen else f"{name}: listening, never seen"
    seen = trace.every.store(tap.store).round_trips
    if not trace.every.store(tap.store).everything:
        return f"{name}: listening, never seen"
    alone = sum(other.store == tap.store and other.problem is None for other in trace.taps) == 1
    return f"{name}: {count(seen, 'round trip')} seen" + (
        "" if alone else f" with {tap.store}, by this client or another"
    )


def _nothing(who: str) -> str:
    traffic = f"{who} traffic" if who in ("redis", "postgres") else f"traffic with {who}" if who else "traffic"
    return f"{who or 'depth'}: nothing measured: a budget was set, but no {traffic} was seen, so it proves nothing"


def _servers_seen(trace: Trace) -> Iterator[str]:
    for server in servers(trace.every):
        trips = share_of(trace.every, server).round_trips
        yield f"  seen at {server}: {count(trips, 'round trip')}"


def _way_out(who: str) -> str:
    zero = f"{who or 'depth'}=0"
    return (
        f"if no traffic is right, say so: {zero} or allow_nothing=True; other processes and other clients are not seen"
    )


def _size_not_seen(share: StoreTrace, who: str, measure: str) -> str:
    unseen = sum(getattr(StoreTrace((trip,), ()), measure) is None for trip in share)
    total = len(share.everything)
    what = {"sent_bytes": "bytes sent", "received_bytes": "bytes received"}.get(measure, "bytes both ways")
    return f"{who} {what}: not measured: the size of {unseen} of {count(total, 'round trip')} was not seen"
