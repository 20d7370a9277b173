"""Mutated streams through a real proxy process, both ends played here, one event at a time.

Whatever the bytes are, they come out as they went in, ends are passed on as ends, what cannot be read is said to be
uncounted (and nothing else is), and the proxy lives on and counts the next connection exactly. The one exception is
the proxy's own part: it answers requests for TLS before Postgres itself and holds a start-up message until it is whole.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import invariants
import mutate
from streams import Events, Stream

from redis_perf.errors import ProtocolError
from redis_perf.proxy import Proxy
from redis_perf.proxy.forwarding import ForwardingMeter
from redis_perf.trace import Operation, Problem, Trace
from redis_perf.wire import CLOSED, RECEIVED, SENT

SECONDS = 10
LATENCIES_NS = (0, 50_000)
CLEAN_EVERY = 50
_NOT_SENT_ON: Final = (80877103, 80877104)
_CANCEL: Final = 80877102
_CONNECT: Final = (Operation("CONNECT", "CONNECT"),)
_RESET: Final = struct.pack("ii", 1, 0)


class Ends:
    """A client's socket and the one the proxy made to the server for it."""

    def __init__(self, proxy: Proxy, store: str, door: socket.socket) -> None:
        self.client = socket.create_connection(proxy.address(store)[:2], SECONDS)  # type: ignore[arg-type]
        self.server, _ = door.accept()
        self.server.settimeout(SECONDS)
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.greets = store == "postgres"
        self.said = {SENT: b"", RECEIVED: b""}
        self.heard = {SENT: b"", RECEIVED: b""}

    def say(self, direction: int, data: bytes) -> None:
        """And wait until all that should have come out has."""
        (self.client if direction == SENT else self.server).sendall(data)
        self.said[direction] += data
        self.hear(direction)
        if direction == SENT and self.greets:
            self.hear(RECEIVED)

    def hear(self, direction: int) -> None:
        end = self.server if direction == SENT else self.client
        while missing := len(self.due(direction)) - len(self.heard[direction]):
            data = end.recv(missing)
            if not data:
                raise ConnectionError(f"ended {missing} bytes early")
            self.heard[direction] += data

    def due(self, direction: int) -> bytes:
        """What should have come out by now. What the proxy answered itself came first."""
        if not self.greets:
            return self.said[direction]
        answers, passed, _ = greeted(self.said[SENT])
        return passed if direction == SENT else b"N" * answers + self.said[RECEIVED]

    def wrong(self) -> list[str]:
        names = {SENT: "client to server", RECEIVED: "server to client"}
        return [
            f"{name}: {self.due(direction)!r} came out as {self.heard[direction]!r}"
            for direction, name in names.items()
            if sorted(self.due(direction)) != sorted(self.heard[direction])
            or (not self.greets and self.due(direction) != self.heard[direction])
        ]

    def close(self, random: Random) -> list[str]:
        """Half of it first, or all at once. A start-up message that never got whole is passed on at the end."""
        first, second = random.choice([(self.client, self.server), (self.server, self.client)])
        way = random.choice(("half", "half", "whole", "reset"))
        if way == "half":
            first.shutdown(socket.SHUT_WR)
        else:
            if way == "reset":
                first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            first.close()
        held = greeted(self.said[SENT])[2] if self.greets else b""
        left = drained(second)
        second.close()
        back = drained(first) if way == "half" else b""
        first.close()
        return [f"{left + back!r} came out at the end, not {held!r}"] if left + back != held and way == "half" else []


def drained(end: socket.socket) -> bytes:
    data = b""
    try:
        while more := end.recv(1 << 16):
            data += more
    except ConnectionError:
        pass
    return data


def greeted(said: bytes) -> tuple[int, bytes, bytes]:
    """How many requests for encryption the proxy answers, what it passes on, and what it holds until it is whole."""
    answers, at = 0, 0
    while len(said) - at >= 8:
        length, code = struct.unpack_from("!II", said, at)
        if not 8 <= length <= 10_000:
            return answers, said[at:], b""
        if len(said) - at < length:
            break
        if code not in _NOT_SENT_ON:
            return answers, said[at:], b""
        answers, at = answers + 1, at + length
    return answers, b"", said[at:]


def passable(stream: Stream) -> Events:
    """Up to where the connection ends; what only arrives is received."""
    kept = []
    for direction, data in stream.events:
        if direction == CLOSED:
            break
        if data:
            kept.append((SENT if direction == SENT else RECEIVED, data))
    return tuple(kept)


def refused(stream: Stream, events: Events) -> bool:
    """Whether what the proxy counts with cannot read this."""
    conversation, meter = invariants.metered(stream._replace(startup=True), lambda trip: None)
    forwarding = ForwardingMeter(conversation, meter)
    said, answers = b"", 0
    try:
        for at_ns, (direction, data) in enumerate(events):
            forwarding.feed(at_ns, direction, data)
            said += data if direction == SENT else b""
            if stream.reader == "postgres" and greeted(said)[0] > answers:
                forwarding.feed(at_ns, RECEIVED, b"N" * (greeted(said)[0] - answers))
                answers = greeted(said)[0]
    except ProtocolError:
        return True
    return False


def broken(proxy: Proxy, door: socket.socket, stream: Stream, random: Random) -> list[str]:
    """Everything that went wrong."""
    store = "redis" if stream.reader == "resp" else "postgres"
    events = passable(stream)
    ends = Ends(proxy, store, door)
    try:
        with proxy.record() as window:
            for direction, data in events:
                ends.say(direction, data)
            found = ends.wrong()
    except OSError as lost:
        return [f"{lost!r} after {ends.heard} of {ends.said}"]
    found += ends.close(random)
    return found + misjudged(stream, events, window.trace)


def misjudged(stream: Stream, events: Events, trace: Trace) -> list[str]:
    problems: Sequence[Problem] = trace.problems
    said = b"".join(data for direction, data in events if direction == SENT)
    if stream.reader == "postgres" and (not greeted(said)[1] or said[4:8] == _CANCEL.to_bytes(4, "big")):
        return []  # no session yet
    if refused(stream, events) != bool(problems):
        return [f"could not be read: {not problems}, but the proxy said {problems}"]
    return []


def clean(proxy: Proxy, door: socket.socket, seed: Stream) -> list[str]:
    """A recorded stream is counted as its meter counts it."""
    want = invariants.outcome(seed, seed.events)
    before = proxy.trace().round_trips
    found = broken(proxy, door, seed, Random(0))
    since = proxy.trace().round_trips[len(before) :]
    counted = [tuple(each.name for each in trip.operations) for trip in since if trip.operations != _CONNECT]
    wanted = [tuple(each.name for each in trip.operations) for trip in (*want.finished, *want.unfinished)]
    return found if counted == wanted else [*found, f"a clean connection: {counted} for {wanted}"]


def speaks(seed: Stream) -> bool:
    """It is a session from its beginning, in which nobody but the proxy answers a request for TLS."""
    return seed.startup and not (seed.reader == "postgres" and greeted(seed.events[0][1])[0])


def report(many: int, part: int, seed: int, known: Mapping[str, Sequence[Stream]]) -> int:
    """How many were found."""
    readers = [reader for reader in sorted(known) if reader != "libpq"]
    if not many or not readers:
        return 0
    found = 0
    begun = time.monotonic()
    doors = {store: socket.create_server(("127.0.0.1", 0)) for store in ("redis", "postgres")}
    urls = {store: f"{store}://127.0.0.1:{door.getsockname()[1]}/" for store, door in doors.items()}
    urls["postgres"] = urls["postgres"].replace("postgres:", "postgresql:")
    for latency_ns in LATENCIES_NS:
        with Proxy(latency_ns=latency_ns, upstreams=urls) as proxy:
            for number in range(many // len(LATENCIES_NS)):
                random = Random(f"proxy/{seed}/{part}/{latency_ns}/{number}")
                reader = readers[number % len(readers)]
                door = doors["redis" if reader == "resp" else "postgres"]
                problems = broken(proxy, door, mutate.mutated(random, known[reader]), random)
                if latency_ns and number % CLEAN_EVERY == 0:
                    problems += clean(proxy, door, random.choice([each for each in known[reader] if speaks(each)]))
                for problem in problems:
                    found += 1
                    print(f"proxy {number} ({reader}, {latency_ns} ns): {problem}", file=sys.stderr, flush=True)
    seconds = time.monotonic() - begun
    print(f"{many} streams through the proxy in {seconds:.0f} s, {many / seconds:.0f} a second")
    return found
