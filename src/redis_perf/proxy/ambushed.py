"""A relay that faults may befall. While none lies in wait before its server it is a relay like any other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from time import monotonic_ns

from redis_perf.errors import ServerUnavailable
from redis_perf.proxy.armed import Ambush, Armed
from redis_perf.proxy.faults.fault import Instead, Outcome, Then
from redis_perf.proxy.keeping import Hold
from redis_perf.proxy.ledger import Ledger
from redis_perf.proxy.loop import Loop
from redis_perf.proxy.relay import Relay
from redis_perf.proxy.secrecy import Secrecy
from redis_perf.proxy.upstream import Upstream
from redis_perf.proxy.watch import Watch
from redis_perf.wire import ARRIVED


class AmbushedRelay(Relay):
    """What is watched is noted when it is handed over, for a fault may keep it from ever arriving."""

    def __init__(
        self,
        client: socket.socket,
        upstream: Upstream,
        loop: Loop,
        ledger: Ledger,
        hold: Hold,
        secrecy: Secrecy,
        ambush: Ambush,
    ) -> None:
        self._ambush = ambush
        self._watch: Watch | None = None
        self._noted = 0  # how much of what is kept back was noted before the watch began
        self._kept_by: Armed | None = None
        self._drip: Outcome | None = None
        self._drop_due_ns = 0
        super().__init__(client, upstream, loop, ledger, hold, secrecy)

    def _is_plain(self) -> bool:
        return self._watch is None and not self._ambush and super()._is_plain()

    def _read_client(self) -> None:
        if self._watch is not None or self._ambush:
            self._flows = False
            self._look_out()
        super()._read_client()
        if self._kept_by is not None and not self._client.reads:
            self.close()

    def _look_out(self) -> None:
        """While a fault lies in wait this connection is read as it passes."""
        if self._watch is None:
            if self._ambush and self._tape is not None:
                self._watch = self._ledger.watched(self._tape, self._ambush)
                self._noted = len(self._held)
        elif not self._ambush and not self._watch.keeps and not self._held:
            self._watch = None

    def _to_server(self, data: bytes) -> None:
        if self._watch is None or self._refusal:
            super()._to_server(data)
            return
        to_server, instead = self._watch.sent(data)
        if to_server:
            super()._to_server(to_server)
        elif instead is not None:
            self._happen(instead)

    def _happen(self, instead: Instead) -> None:
        self._crash(instead.crash)
        if instead.to_server:
            super()._to_server(instead.to_server)
        if instead.then != "go on":
            self._arrive(instead.answer)
            self._end(instead.then)
        elif instead.answer:
            self._answer(instead.answer)

    def _answer(self, data: bytes, age_ns: int = 0) -> None:
        if self._watch is None:
            super()._answer(data, age_ns)
        else:
            self._watch.arrived(data)
            self._keep(data, self._due_ns(self._hold.hold_ns, age_ns))

    def release(self, now_ns: int) -> None:
        if self._drip is not None and self._drop_due_ns <= now_ns and not self._over:
            self._drop(self._drip)
        if self._kept_by is None:
            super().release(now_ns)

    def _hand_over(self, data: bytes) -> None:
        if self._watch is None or self._noted:
            self._noted = max(0, self._noted - 1)
            super()._hand_over(data)
        else:
            self._arrive(self._watch.release(data))

    def _looked(self) -> None:
        watch = self._watch
        if watch is not None:
            if not self._held and not self._over:
                self._befall(watch)
            if self._held or self._client.blocked or self._over or watch.keeps:
                return
            watch.looked()
        super()._looked()

    def _befall(self, watch: Watch) -> None:
        """If a fault befalls a reply, and all of that is there: what becomes of it."""
        armed, outcome = watch.reading, watch.outcome()
        if armed is None or outcome is None:
            return
        self._crash(outcome.crash)
        dripping = outcome.then == "drip"
        passed = outcome.passed[: outcome.chunk_bytes] if dripping else outcome.passed
        self._arrive(passed)
        rest = outcome.reply[len(passed) :]
        if outcome.then in ("hang", "drip") and rest and armed.lifted:
            self._arrive(rest)
        elif outcome.then in ("hang", "drip") and rest:
            self._held.append((0, rest))
            self._held_bytes += len(rest)
            self._kept_by = armed
            armed.until_lifted(partial(self._go_on, armed))
            if dripping:
                self._next_drop(outcome)
        else:
            self._end(outcome.then)

    def _next_drop(self, outcome: Outcome) -> None:
        self._drip, self._drop_due_ns = outcome, monotonic_ns() + outcome.pause_ns
        self._loop.wake(self._drop_due_ns, self)

    def _drop(self, outcome: Outcome) -> None:
        _, rest = self._held.popleft()
        drop, rest = rest[: outcome.chunk_bytes], rest[outcome.chunk_bytes :]
        self._held_bytes -= len(drop)
        self._arrive(drop)
        if self._over:
            return
        if rest:
            self._held.appendleft((0, rest))
            self._next_drop(outcome)
        else:
            self._kept_by = self._drip = None

    def _go_on(self, armed: Armed) -> None:
        """The fault was removed."""
        if self._kept_by is armed:
            self._kept_by = self._drip = None
            self.release(monotonic_ns())

    def _crash(self, crash: Callable[[], None] | None) -> None:
        """Everything else waits until the server is back, so that nobody meets one that is not."""
        if crash is not None:
            try:
                crash()
            except ServerUnavailable as error:
                self._ledger.note(f"{self._upstream.name}: a fault restarts it: {error}")

    def _arrive(self, data: bytes) -> None:
        if data and not self._over:
            self._note(ARRIVED, data)
            self._write_client(data)

    def _end(self, then: Then) -> None:
        if then in ("reset", "end"):
            self.close(reset=then == "reset")

    def _server_ended(self) -> None:
        if self._watch is not None:
            self._arrive(self._watch.collected())
        super()._server_ended()
