"""One client's connection and the one made to the server for it.

What either side says is passed on at once, but the server's share is kept back for the hold. So are ends: half-closed
stays half-closed, reset is passed on as reset. A side that does not read stops the other from being read, so no more
than `HELD_BYTES` and a chunk each way are ever in hand.
"""

from __future__ import annotations

import socket
from collections import deque
from time import monotonic_ns
from typing import Final, Protocol

from redis_perf.proxy.dial import Dial
from redis_perf.proxy.end import End
from redis_perf.proxy.greeting import Greeting, Kind
from redis_perf.proxy.ledger import Ledger, Tape
from redis_perf.proxy.loop import WRITE, Loop
from redis_perf.proxy.sayings import refusal
from redis_perf.proxy.upstream import Upstream
from redis_perf.wire import ARRIVED, LOOKED, RECEIVED, SENT

HELD_BYTES: Final = 4 << 20


class Hold(Protocol):
    """How long replies are kept back."""

    hold_ns: int


class Relay:
    """Lives from accept until both ends are closed."""

    def __init__(
        self,
        client: socket.socket,
        upstream: Upstream,
        loop: Loop,
        ledger: Ledger,
        hold: Hold,
    ) -> None:
        self._upstream, self._loop, self._ledger, self._hold = upstream, loop, ledger, hold
        self._client = End(client, loop, self._from_client, first=True)
        self._server: End | None = None
        self._connected = self._broken = self._over = False
        self._early: list[bytes] = []
        self._refusal = b""
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0
        self._tape: Tape | None = Tape(upstream)
        self._greeting = Greeting() if upstream.store == "postgres" else None
        if self._greeting is None:
            ledger.count(self._tape)
        self._dial = Dial(upstream.address)
        self._try_next()

    # --- the client

    def _from_client(self, events: int) -> None:
        if events & WRITE:
            self._flush_client()
        if events != WRITE and self._client.reads and not self._over:
            self._read_client()
        self._settle()

    def _read_client(self) -> None:
        try:
            data = self._client.read()
        except OSError:
            self.close(reset=True)
            return
        if data:
            self._note(SENT, data)
            data = data if self._greeting is None else self._greet(data)
            if data:
                self._to_server(data)
        elif data is not None:
            self._client.reads = False
            if self._connected and self._server is not None:
                self._server.end()

    def _to_server(self, data: bytes) -> None:
        if self._refusal:
            self._refuse()
        elif not self._connected or self._server is None:
            self._early.append(data)
        elif not self._server.ends:
            try:
                self._server.write(data)
            except OSError:  # it may have said why: what it said is still to be read
                self._server.drop()
        elif not self._server.reads:
            self.close(reset=True)

    def _greet(self, data: bytes) -> bytes:
        """The beginning of a Postgres connection: what of it the server gets."""
        assert self._greeting is not None
        step = self._greeting.feed(data)
        if step.answers:
            self._answer(step.answers)
        if step.kind is not None:
            self._greeting = None
            self._begin(step.kind, data)
        return step.forward

    def _begin(self, kind: Kind, beginning: bytes) -> None:
        assert self._tape is not None
        if kind == "session":
            self._ledger.count(self._tape)
        elif kind == "unknown":
            self._ledger.unknown(self._tape, beginning)
        else:
            self._tape = None
        if kind == "replication":
            self._ledger.note(f"{self._upstream.name}: a replication connection was passed on and not counted")

    # --- the server

    def _try_next(self) -> None:
        connecting = self._dial.next()
        if connecting is not None:
            self._server = End(connecting, self._loop, self._from_server, first=False, mask=WRITE)
            return
        self._server = None
        text = f"{self._upstream.shown} cannot be reached: {self._dial.error}"
        self._ledger.note(f"{self._upstream.name}: {text}; connections to it were refused")
        self._refusal = refusal(self._upstream.store, f"redisperf proxy: {text}")
        if self._early:
            self._early.clear()
            self._refuse()

    def _refuse(self) -> None:
        """Say why there is no server, once the client has asked for something."""
        if not self._client.ends:
            self._write_client(self._refusal)
            self._client.end()

    def _from_server(self, events: int) -> None:
        if not self._connected:
            self._connect()
        elif self._server is not None:
            if events & WRITE:
                self._flush_server(self._server)
            if events != WRITE and self._server.reads:
                self._read_server(self._server)
        self._settle()

    def _connect(self) -> None:
        assert self._server is not None
        if self._dial.failed(self._server.error()):
            self._server.close()
            self._try_next()
            return
        self._connected = True
        for data in self._early:
            self._server.later(data)
        self._early.clear()
        if not self._client.reads:
            self._server.ends = True
        self._flush_server(self._server)

    def _flush_server(self, server: End) -> None:
        try:
            server.flush()
        except OSError:
            server.drop()

    def _read_server(self, server: End) -> None:
        try:
            data = server.read()
        except OSError:
            data, self._broken = b"", True
        if data:
            self._answer(data)
        elif data is not None:
            server.reads = False
            if self._held:
                self._keep(b"", monotonic_ns())
            else:
                self._server_ended()

    # --- keeping back

    def _answer(self, data: bytes) -> None:
        """To the client, when it is due."""
        hold_ns = self._hold.hold_ns
        if hold_ns or self._held:
            due_ns = self._keep(data, monotonic_ns() + hold_ns)
            self._note(ARRIVED, data, due_ns)
        else:
            self._note(RECEIVED, data)
            self._write_client(data)

    def _keep(self, data: bytes, due_ns: int) -> int:
        due_ns = self._loop.keep(due_ns, self)
        self._held.append((due_ns, data))
        self._held_bytes += len(data)
        return due_ns

    def release(self, now_ns: int) -> None:
        """Pass on what is due; nothing (an end) too."""
        while self._held and self._held[0][0] <= now_ns and not self._over:
            _, data = self._held.popleft()
            self._held_bytes -= len(data)
            if data:
                self._hand_over(data)
            else:
                self._server_ended()
        self._looked()
        self._settle()

    def _hand_over(self, data: bytes) -> None:
        """It was kept back and noted, and is due."""
        self._write_client(data)

    def _write_client(self, data: bytes) -> None:
        try:
            self._client.write(data)
        except OSError:
            self.close(reset=True)

    def _flush_client(self) -> None:
        try:
            self._client.flush()
        except OSError:
            self.close(reset=True)
        self._looked()

    def _looked(self) -> None:
        """If all that came was handed over, the client has looked at it."""
        if not self._held and not self._client.blocked and not self._over:
            self._note(LOOKED, b"")

    # --- ends

    def _server_ended(self) -> None:
        """All it said has been handed over, or waits for the client to take it."""
        if not self._broken:
            self._client.end()
        elif not self._client.blocked:
            self.close(reset=True)

    def _settle(self) -> None:
        """Wake for what can go on; close when nothing can."""
        if self._over:
            return
        client, server, connected = self._client, self._server, self._connected
        if server is None or not connected:
            client.watch(reading=not self._early)
            finished = server is None and not client.reads
        else:
            client.watch(reading=not server.blocked)
            server.watch(reading=not client.blocked and self._held_bytes < HELD_BYTES)
            answered = not server.reads and not self._held and not client.blocked
            finished = answered and (self._broken or (not client.reads and not server.blocked))
        if finished:
            self.close(reset=self._broken)

    def close(self, *, reset: bool = False) -> None:
        """Close both ends now."""
        if self._over:
            return
        self._over = True
        self._client.close(reset=reset)
        if self._server is not None:
            self._server.close(reset=reset)
        self._held.clear()
        if self._tape is not None and self._tape.log is not None:
            self._ledger.close(self._tape)

    def _note(self, direction: int, data: bytes, at_ns: int | None = None) -> None:
        """What is kept back arrives, as the client sees it, when it is due."""
        tape = self._tape
        if tape is not None:
            tape.append((at_ns or monotonic_ns(), direction, data, None))
            if tape.log is not None:
                self._ledger.grew(tape, len(data))
