"""One client's connection and the one made to the server for it.

What either side says is passed on at once, but the server's share is kept back for the hold. So are ends: half-closed
stays half-closed, reset is passed on as reset. A side that does not read stops the other from being read, so no more
than `HELD_BYTES` and a chunk each way are ever in hand.
"""

from __future__ import annotations

import socket
from time import monotonic_ns

from redis_perf.endpoint import peer_end
from redis_perf.proxy.dial import Dial
from redis_perf.proxy.end import End
from redis_perf.proxy.greeting import Kind, greeting
from redis_perf.proxy.keeping import HELD_BYTES, Hold, Keeping
from redis_perf.proxy.ledger import Ledger
from redis_perf.proxy.loop import WRITE, Loop
from redis_perf.proxy.sayings import refusal
from redis_perf.proxy.secrecy import Secrecy
from redis_perf.proxy.tape import Tape
from redis_perf.proxy.tls import TlsEnd
from redis_perf.proxy.upstream import Upstream
from redis_perf.wire import SENT


class Relay(Keeping):
    """Lives from accept until both ends are closed."""

    def __init__(
        self,
        client: socket.socket,
        upstream: Upstream,
        loop: Loop,
        ledger: Ledger,
        hold: Hold,
        secrecy: Secrecy,
    ) -> None:
        tape = Tape(upstream, peer_end(client))
        self._began_ns = tape.opened_ns
        super().__init__(End(client, loop, self._from_client, first=True), tape, loop, ledger, hold)
        self._upstream, self._secrecy = upstream, secrecy
        self._server: End | None = None  # once it is reached
        self._broken = False
        self._early: list[bytes] = []
        self._refusal = b""
        self._greeting = greeting(
            upstream.store, speaks_tls=secrecy.clients is not None, tls_behind=secrecy.server is not None
        )
        if upstream.store == "redis":
            ledger.count(tape)
        self._dial = Dial(upstream, secrecy.server, loop, self._from_server, self._reached, self._no_server)
        self._dial.next()

    # --- the client

    def _from_client(self, events: int) -> None:
        if events & WRITE:
            self._flush_client()
        if events != WRITE and self._client.reads and not self._over:
            self._read_client()
        if not self._flows:
            self._settle()

    def _read_client(self) -> None:
        try:
            data, age_ns = self._read(self._client)
        except OSError:
            self.close(reset=True)
            return
        if data:
            self._late_ns = age_ns
            self._sent(data, max(monotonic_ns() - age_ns, self._began_ns))  # it may come before it is accepted
        elif data is not None:
            self._client_ended()

    def _client_ended(self) -> None:
        """It has said its last."""
        self._flows = self._client.reads = False
        begun = self._greeting.rest() if self._greeting is not None else b""
        if begun:
            self._to_server(begun)
        if self._server is not None:
            self._server.end()

    def _sent(self, data: bytes, at_ns: int) -> None:
        """The client sent this then."""
        if self._flows and self._server is not None:
            self._write_server(self._server, data)
            self._note(SENT, data, at_ns)
        else:
            if self._greeting is not None:
                data = self._greet(data, at_ns)
            else:
                self._note(SENT, data, at_ns)
            if data:
                self._to_server(data)

    def _write_server(self, server: End, data: bytes) -> None:
        try:
            server.write(data)
        except OSError:  # it may have said why: what it said is still to be read
            server.drop()
        if server.blocked or server.ends:
            self._flows = False

    def _to_server(self, data: bytes) -> None:
        if self._refusal:
            self._refuse()
        elif self._server is None:
            self._early.append(data)
        elif not self._server.ends:
            self._write_server(self._server, data)
        elif not self._server.reads:
            self.close(reset=True)

    def _greet(self, data: bytes, at_ns: int) -> bytes:
        """The beginning of a connection: what of it the server gets."""
        assert self._greeting is not None
        step = self._greeting.feed(data)
        if step.handshake:
            self._secure_client(step.handshake)
            return b""
        self._note(SENT, data, at_ns)
        if step.answers:
            self._answer(step.answers)
        if step.refused is not None:
            self._turn_away(step.refused)
        if step.kind is not None:
            self._greeting = None
            self._begin(step.kind, data)
        return step.forward

    def _begin(self, kind: Kind, beginning: bytes) -> None:
        assert self._tape is not None
        if kind == "session":
            if self._tape.log is None:
                self._ledger.count(self._tape)
        elif kind == "unknown":
            self._ledger.unknown(self._tape, beginning)
        else:
            self._tape = None
        if kind == "replication":
            self._ledger.note(f"{self._upstream.name}: a replication connection was passed on and not counted")

    def _secure_client(self, handshake: bytes) -> None:
        assert self._secrecy.clients is not None
        hold_ns = self._hold.hold_ns
        self._client = end = TlsEnd(
            self._client, self._secrecy.clients, self._from_client, self._client_secured, hold_ns=hold_ns
        )
        end.begin(handshake)

    def _client_secured(self, why: str | None) -> None:
        if why is not None:
            self._ledger.note(f"{self._upstream.name}: a TLS handshake with a client failed: {why}")
            self.close()
        elif isinstance(self._client, TlsEnd) and self._tape is not None:
            self._ledger.secured(self._tape, self._client.began_ns)

    # --- the server

    def _no_server(self, text: str) -> None:
        asked = bool(self._early) or self._server is not None
        self._server = None
        self._early.clear()
        self._ledger.note(f"{self._upstream.name}: {text}; connections to it were refused")
        self._refusal = refusal(self._upstream.store, f"redisperf proxy: {text}")
        if asked:
            self._refuse()
        self._settle()

    def _turn_away(self, text: str) -> None:
        """This client does not begin as it must."""
        self._ledger.note(f"{self._upstream.name}: a connection was refused: {text}")
        self._refusal = refusal(self._upstream.store, f"redisperf proxy: {text}")
        self._refuse()

    def _refuse(self) -> None:
        """Say why there is no server, once the client has asked for something."""
        if not self._client.ends:
            self._write_client(self._refusal)
            self._client.end()

    def _from_server(self, events: int) -> None:
        if self._server is not None:
            if events & WRITE:
                self._flush_server(self._server)
            if events != WRITE and self._server.reads:
                self._read_server(self._server)
        if not self._flows:
            self._settle()

    def _reached(self, server: End) -> None:
        self._server = server
        for data in self._early:
            server.later(data)
        self._early.clear()
        server.ends = not self._client.reads
        self._flush_server(server)
        self._settle()

    def _flush_server(self, server: End) -> None:
        try:
            server.flush()
        except OSError:
            server.drop()

    def _read_server(self, server: End) -> None:
        try:
            data, age_ns = self._read(server)
        except OSError:
            data, age_ns, self._broken = b"", 0, True
        if data:
            self._answer(data, age_ns)
        elif data is not None:
            self._flows = server.reads = False
            if self._held:
                self._keep(b"", monotonic_ns())
            else:
                self._server_ended()

    # --- ends

    def _server_ended(self) -> None:
        """All it said has been handed over, or waits for the client to take it."""
        self._flows = False
        if not self._broken:
            self._client.end()
        elif not self._client.blocked:
            self.close(reset=True)

    def _settle(self) -> None:
        """Wake for what can go on; close when nothing can."""
        if self._over:
            return
        client, server = self._client, self._server
        if server is None:
            client.watch(reading=not self._early)
            finished = bool(self._refusal) and not client.reads
        else:
            client.watch(reading=not server.blocked)
            server.watch(reading=not client.blocked and self._held_bytes < HELD_BYTES)
            answered = not server.reads and not self._held and not client.blocked
            finished = answered and (self._broken or (not client.reads and not server.blocked))
        if finished:
            self.close(reset=self._broken)
        else:
            self._flows = self._is_plain()

    def _is_plain(self) -> bool:
        """Whether what either side says can be passed on at once, with nothing else to be done."""
        client, server = self._client, self._server
        if server is None or self._greeting is not None:
            return False
        held_up = client.blocked or server.blocked or self._held_bytes >= HELD_BYTES
        return client.reads and server.reads and not (client.ends or server.ends or held_up)

    def close(self, *, reset: bool = False) -> None:
        """Close both ends now."""
        if self._over:
            return
        self._over, self._flows = True, False
        self._client.close(reset=reset)
        self._dial.close(reset=reset)
        self._held.clear()
        if self._tape is not None and self._tape.log is not None:
            self._ledger.close(self._tape)
