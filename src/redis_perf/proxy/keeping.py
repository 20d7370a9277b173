"""What the server said is kept back for the hold, then handed over to the client, and noted."""

from __future__ import annotations

from collections import deque
from time import monotonic_ns
from typing import Final, Protocol

from redis_perf.proxy.end import End
from redis_perf.proxy.ledger import Ledger
from redis_perf.proxy.loop import Loop
from redis_perf.proxy.tape import Tape
from redis_perf.wire import ARRIVED, LOOKED, RECEIVED

HELD_BYTES: Final = 4 << 20
LATE_SHARE: Final = 4
LATE_NS: Final = 250_000
"""The proxy's own time shortens the hold by one part of it in so many at most, and by no more than this."""


class Hold(Protocol):
    """How long replies are kept back."""

    hold_ns: int


class Keeping:
    """The client's side of a relay, which says what to do when the server has ended, or either end takes no more."""

    def __init__(self, client: End, tape: Tape, loop: Loop, ledger: Ledger, hold: Hold) -> None:
        self._client, self._loop, self._ledger, self._hold = client, loop, ledger, hold
        self._tape: Tape | None = tape
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0
        self._late_ns = 0  # how long the last request lay here before it was read
        self._over = False
        self._flows = False  # both ends take and give, and nothing is to be looked into: see `_settle`

    def _server_ended(self) -> None:
        raise NotImplementedError

    def _settle(self) -> None:
        raise NotImplementedError

    def close(self, *, reset: bool = False) -> None:
        raise NotImplementedError

    def _read(self, end: End) -> tuple[bytes | None, int]:
        """As `End.read_aged`; an age is asked for only where there is a hold to take it from."""
        return end.read_aged() if self._hold.hold_ns else (end.read(), 0)

    def _answer(self, data: bytes, age_ns: int = 0) -> None:
        """To the client, when it is due."""
        hold_ns = self._hold.hold_ns
        if hold_ns or self._held:
            due_ns = self._keep(data, self._due_ns(hold_ns, age_ns))
            self._note(ARRIVED, data, due_ns)
        else:
            self._note(RECEIVED, data)
            self._write_client(data)

    def _due_ns(self, hold_ns: int, age_ns: int) -> int:
        """So long after the server said it, less the proxy's own time: what lay here unread, and handing it over."""
        own_ns = self._late_ns + age_ns + self._loop.lead_ns
        return monotonic_ns() + hold_ns - min(own_ns, hold_ns // LATE_SHARE, LATE_NS)

    def _keep(self, data: bytes, due_ns: int) -> int:
        due_ns = self._loop.keep(due_ns, self)
        self._held.append((due_ns, data))
        self._held_bytes += len(data)
        if self._held_bytes >= HELD_BYTES:
            self._flows = False
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
        if not self._flows:
            self._settle()

    def _hand_over(self, data: bytes) -> None:
        """It was kept back and noted, and is due."""
        self._write_client(data)

    def _write_client(self, data: bytes) -> None:
        try:
            self._client.write(data)
        except OSError:
            self.close(reset=True)
        if self._client.blocked:
            self._flows = False

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

    def _note(self, direction: int, data: bytes, at_ns: int | None = None) -> None:
        """What is kept back arrives, as the client sees it, when it is due."""
        tape = self._tape
        if tape is not None:
            tape.append((at_ns or monotonic_ns(), direction, data, None))
            if tape.log is not None:
                self._ledger.grew(tape, len(data))
