"""Time and memory against length: what takes twice as many bytes may take twice as long, and is kept no longer.

A stream is a beginning, then one unit over and over from each side, in pieces of one size. It is read at one length
and at eight times that; where time grows much more than eightfold, again, for the least of several is the truth.
What a meter keeps of bytes not understood yet must not grow at all beyond what its limits allow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count, zip_longest
from random import Random
from time import thread_time
from typing import TypeAlias

import invariants
import mutate
from streams import Event, Stream

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.wire import RECEIVED, SENT

BYTES, TIMES = 8 << 10, 8
MOST_TIMES = 3 * TIMES
SECONDS = 0.08
KEPT_BYTES = 9 << 20
"""A very long statement in libpq's trace is waited for up to 3 MiB; all else is far below."""
STREAMS_PER_READER = 600

Known: TypeAlias = Mapping[str, Sequence[Stream]]
Unit: TypeAlias = bytes | Callable[[int], bytes]
"""What is said over and over, or what so many bytes are."""
Units: TypeAlias = Sequence[tuple[int, Unit]]
Long: TypeAlias = tuple[Stream, Units, int]
"""A beginning, the units that follow it over and over, and the size of the pieces (negative: one after the other)."""


def _one(before: bytes, unit: bytes, after: bytes = b"") -> Unit:
    """One message of so many bytes; `%d` in its beginning is its length."""
    return lambda size: (before % size if b"%d" in before else before) + unit * (size // len(unit)) + after


def _lines(size: int) -> bytes:
    """As long as they may be."""
    return b"".join(b"GET " + b"x" * min(left, 60_000) + b"\n" for left in range(size, 0, -60_000))


def _message(kind: bytes, unit: bytes) -> Unit:
    return lambda size: kind + (4 + len(unit) * (size // len(unit))).to_bytes(4, "big") + unit * (size // len(unit))


_RESP, _PG, _LIBPQ = (Stream(reader, False, ()) for reader in ("resp", "postgres", "libpq"))
_START = Stream("postgres", True, ())
_TLS = b"\0\0\0\x08\x04\xd2\x16/"
_SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
HARD: Mapping[str, Long] = {
    "inline commands byte by byte": (_RESP, [(SENT, _lines)], 1),
    "an argument byte by byte": (_RESP, [(SENT, _one(b"*2\r\n$3\r\nGET\r\n$%d\r\n", b"x"))], 1),
    "a line byte by byte": (_RESP, [(SENT, b"GET a\r\n"), (RECEIVED, _one(b"+", b"x"))], -1),
    "subscriptions given up many times": (
        _RESP, [(SENT, b"SUBSCRIBE a\r\n"), (SENT, b"UNSUBSCRIBE\r\n"), (RECEIVED, _SUBSCRIBED)], -64,
    ),
    "nesting": (_RESP, [(SENT, b"GET a\r\n"), (RECEIVED, b"*1\r\n" * 127 + b":1\r\n")], -1),
    "attributes": (_RESP, [(RECEIVED, b"|1\r\n+a\r\n+b\r\n")], 1),
    "errors in an array": (_RESP, [(SENT, b"EXEC\r\n"), (RECEIVED, _one(b"*1000000\r\n", b"-E\r\n"))], -7),
    "requests in flight": (_RESP, [(SENT, b"GET a\r\nGET b\r\n"), (RECEIVED, b"+OK\r\n")], 16),
    "requests for TLS": (_START, [(SENT, _TLS), (RECEIVED, lambda size: b"N" * (size // 8))], -65536),
    "requests for TLS, refused": (_START, [(SENT, _TLS), (RECEIVED, b"E\0\0\0\5\0")], -65536),
    "a statement byte by byte": (_PG, [(SENT, _message(b"Q", b"x"))], 1),
    "copies that end without having begun": (_PG, [(SENT, b"P\0\0\0\x08\0\0\0\0"), (SENT, b"c\0\0\0\4")], -4096),
    "many statements and many errors": (_PG, [(SENT, _message(b"Q", b"a;")), (RECEIVED, b"E\0\0\0\5\0")], -65536),
    "many statements": (_PG, [(SENT, _message(b"Q", b"a;")), (RECEIVED, b"C\0\0\0\5\0")], -65536),
    "a pipeline never answered": (_PG, [(SENT, b"P\0\0\0\x08\0\0\0\0H\0\0\0\4"), (RECEIVED, b"1\0\0\0\4")], -9),
    "executions and leaves to copy": (_PG, [(SENT, b"E\0\0\0\x09\0\0\0\0\0"), (RECEIVED, b"G\0\0\0\7\0\0\0")], -1),
    "a traced statement byte by byte": (_LIBPQ, [(SENT, _one(b'F\t%d\tQuery\t "', b"x"))], 1),
    "a traced Parse of lines": (_LIBPQ, [(SENT, _one(b'F\t%d\tParse\t "" "', b"\n"))], 1),
    "a traced Parse of quotes": (_LIBPQ, [(SENT, _one(b'F\t%d\tParse\t "" "', b'" 1 2\n'))], 3),
    "a traced Parse without lines": (_LIBPQ, [(SENT, _one(b'F\t%d\tParse\t "" "', b"x"))], 1),
    "traced columns of lines": (_LIBPQ, [(SENT, _one(b'B\t%d\tRowDescription\t 2 "', b"\n"))], 1),
    "traced columns of quotes": (_LIBPQ, [(SENT, _one(b'B\t%d\tRowDescription\t 999999 "', b'" 0 0 23 4 -1 0\n'))], 1),
    "a traced notification": (_LIBPQ, [(SENT, _one(b"B\t%d\tNotificationResponse\t ", b"1"))], 1),
    "a traced error": (_LIBPQ, [(SENT, _one(b"B\t%d\tErrorResponse\t ", b" \\x00"))], 1),
    "a traced row byte by byte": (_LIBPQ, [(SENT, _one(b"B\t%d\tDataRow\t ", b"x"))], 1),
}  # fmt: skip


def report(part: int, parts: int, seed: int, known: Known) -> int:
    """How many were found."""
    found = streams = 0
    begun = thread_time()
    for name, long in HARD.items():
        streams += 1
        for problem in broken(*long):
            found += 1
            print(f"growth, {name}: {problem}", file=sys.stderr, flush=True)
    for reader, seeds in sorted(known.items()):
        for number in range(part - 1, STREAMS_PER_READER, parts):
            random = Random(f"growth/{seed}/{reader}/{number}")
            streams += 1
            for problem in broken(*long_stream(reader, seeds, random)):
                found += 1
                print(f"growth {number} ({reader}): {problem}", file=sys.stderr, flush=True)
    print(f"{streams} long streams in {thread_time() - begun:.0f} s")
    return found


def long_stream(reader: str, seeds: Sequence[Stream], random: Random) -> Long:
    """A beginning, the units that follow it over and over, and the size of the pieces."""
    size = random.choice((1, 1, 5, 300, 1 << 16))
    tokens = mutate.TOKENS[reader]
    units: Units = [
        (direction, _unit(random, tokens, seeds)) for direction in (SENT, RECEIVED) if random.random() < 0.8
    ]
    if random.random() < 0.3:  # first all of one, then all of the other
        size = -size
    seed = random.choice(seeds)
    events = seed.events[: random.choice((0, 2, 4, len(seed.events)))]
    if reader == "postgres" and not events:
        return Stream(reader, False, ()), units, size
    return Stream(reader, seed.startup, events), units, size


def _unit(random: Random, tokens: Sequence[bytes], seeds: Sequence[Stream]) -> bytes:
    if random.random() < 0.7:
        return b"".join(random.choices(tokens, k=random.choice((1, 1, 2, 3))))
    data = random.choice(random.choice(seeds).events)[1]
    start = data.find(b"\n", random.randint(0, len(data))) + 1
    return data[start : start + random.choice((1, 8, 60, 4000))] or b"\n"


def repeated(stream: Stream, units: Units, size: int, size_bytes: int) -> Iterator[Event]:
    """So many bytes from each side; by turns, or one after the other."""
    yield from stream.events
    sides = [_pieces(direction, unit, abs(size), size_bytes) for direction, unit in units]
    if size < 0:
        yield from chain(*sides)
    else:
        yield from (piece for pieces in zip_longest(*sides) for piece in pieces if piece is not None)


def _pieces(direction: int, unit: Unit, size: int, size_bytes: int) -> Iterator[Event]:
    data = unit(size_bytes) if callable(unit) else unit * (size_bytes // len(unit) + 1)
    return ((direction, data[at : at + size]) for at in range(0, len(data), size))


def broken(stream: Stream, units: Units, size: int) -> Iterator[str]:
    short, _ = spent(stream, units, size, BYTES)
    long, kept_bytes = spent(stream, units, size, BYTES * TIMES)
    if long > SECONDS and long > MOST_TIMES * short:
        short, long = (
            min(spent(stream, units, size, length)[0] for _ in range(3)) for length in (BYTES, BYTES * TIMES)
        )
        if long > MOST_TIMES * short:
            times = long / short
            yield f"{TIMES} times the bytes took {times:.0f} times as long ({long:.2f} s): {stream} {units} {size}"
    if kept_bytes > KEPT_BYTES:
        yield f"keeps {kept_bytes} bytes: {stream} {units} {size}"


def spent(stream: Stream, units: Units, size: int, size_bytes: int) -> tuple[float, int]:
    """Seconds, and what is kept in the end of what was not understood yet."""
    _, meter = invariants.metered(stream, lambda trip: None)
    events = list(repeated(stream, units, size, size_bytes))
    begun = thread_time()
    try:
        for at_ns, (direction, data) in zip(count(), events, strict=False):
            meter.feed(at_ns, direction, data)
    except ProtocolError:
        return 0.0, 0
    return thread_time() - begun, sum(map(_size, _readers(meter)))


def _readers(meter: object) -> Iterator[object]:
    """The parts of a meter that cut bytes into messages."""
    for part in (*vars(meter).values(), *_slots(getattr(meter, "_state", None))):
        if type(part).__module__.endswith(("_frames", "_lines")):
            yield from vars(part).values()


def _slots(state: object) -> list[object]:
    return [getattr(state, name) for name in getattr(state, "__slots__", ())]


def _size(value: object) -> int:
    inner = value if isinstance(value, (list, tuple)) else ()
    return 0 if isinstance(value, Conversation) else sys.getsizeof(value) + sum(map(_size, inner))
