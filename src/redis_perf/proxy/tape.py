"""What one connection said, as it passed: noted now, read when there is time."""

from __future__ import annotations

from collections import deque
from time import monotonic_ns

from redis_perf.proxy.forwarding import ForwardingMeter
from redis_perf.proxy.upstream import Upstream
from redis_perf.recorder import Log
from redis_perf.wire import Event


class Tape:
    """One connection's events. The hot path is `append((at_ns, direction, data, None))`, then `ledger.grew`."""

    __slots__ = ("append", "client", "events", "log", "meter", "opened_ns", "queued", "secured_ns", "upstream")

    def __init__(self, upstream: Upstream, client: str | None = None) -> None:
        self.upstream = upstream
        self.client = client
        self.opened_ns = monotonic_ns()
        self.events: deque[Event] = deque()
        self.append = self.events.append
        self.log: Log | None = None
        self.meter: ForwardingMeter | None = None
        self.queued = False
        self.secured_ns: tuple[int, int] | None = None
        """From when to when the client's TLS handshake took."""
