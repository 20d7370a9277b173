"""Streams that are almost what a client and a server would say. Everything follows from the `Random` given."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

from streams import Event, Stream

from redis_perf.wire import ARRIVED, CLOSED, LOOKED, RECEIVED, SENT

MOST_BYTES = 4096
MOST_EVENTS = 40
Change: TypeAlias = Callable[[Random, list[Event], "Sequence[Stream]"], None]

TOKENS = {
    "resp": [
        b"\r\n", b"\n", b"*1\r\n", b"*0\r\n", b"*-1\r\n", b"$0\r\n\r\n", b"$-1\r\n", b"$1\r\na\r\n",
        b"|1\r\n+a\r\n+b\r\n", b"%1\r\n", b"~0\r\n", b">2\r\n", b"_\r\n", b"#t\r\n", b",1.5\r\n",
        b"(12345678901234567890\r\n", b"=7\r\ntxt:a b\r\n", b"!3\r\nERR\r\n", b"-ERR\r\n", b"+OK\r\n", b"+QUEUED\r\n",
        b":1\r\n", b"GET a\r\n", b"SUBSCRIBE a b\r\n", b"UNSUBSCRIBE\r\n", b"*1\r\n$11\r\nUNSUBSCRIBE\r\n",
        b"MULTI\r\n", b"EXEC\r\n", b"DISCARD\r\n", b"RESET\r\n", b"CLIENT REPLY OFF\r\n", b"CLIENT REPLY SKIP\r\n",
        b"CLIENT REPLY ON\r\n", b"MONITOR\r\n", b"QUIT\r\n", b"HELLO 3\r\n",
        b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", b">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n",
        b">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n", b"*?\r\n", b"\x16\x03\x01", b"\0",
        b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n", b"+1700000000.1 [0 h:1] \"GET\"\r\n", b"$100000\r\n",
        b"*100000\r\n",
    ],
    "postgres": [
        b"S\0\0\0\4", b"H\0\0\0\4", b"X\0\0\0\4", b"c\0\0\0\4", b"f\0\0\0\5\0", b"d\0\0\0\5x", b"F\0\0\0\4",
        b"p\0\0\0\5\0", b"Q\0\0\0\5\0", b"Q\0\0\0\x0a;;a;b\0", b"Q\0\0\0\x0aBEGIN\0", b"P\0\0\0\x0aa\0x\0\0\0",
        b"B\0\0\0\x06\0\0", b"E\0\0\0\x09\0\0\0\0\0", b"D\0\0\0\6S\0", b"C\0\0\0\6S\0", b"Z\0\0\0\5I", b"Z\0\0\0\5T",
        b"Z\0\0\0\5E", b"1\0\0\0\4", b"2\0\0\0\4", b"3\0\0\0\4", b"n\0\0\0\4", b"s\0\0\0\4", b"I\0\0\0\4",
        b"C\0\0\0\x0bCOMMIT\0", b"E\0\0\0\5\0", b"N\0\0\0\5\0", b"G\0\0\0\7\0\0\0", b"W\0\0\0\7\0\0\0",
        b"R\0\0\0\x08\0\0\0\0", b"R\0\0\0\x08\0\0\0\5", b"\0\0\0\x08\x04\xd2\x16/", b"\0\0\0\x08\x04\xd2\x160", b"N",
        b"S", b"G", b"E", b"\0\0\0\x10\x04\xd2\x16.\0\0\0\1\0\0\0\2", b"\0\0\0\x09\0\3\0\0\0",
        b"A\0\0\0\x0c\0\0\0\1a\0b\0", b"v\0\0\0\x0c\0\0\0\0\0\0\0\0", b"t\0\0\0\6\0\0",
        b"V\0\0\0\x08\xff\xff\xff\xff", b"D\0\0\0\6\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x3f\xff\xff\xff",
    ],
    "libpq": [
        b"\n", b"\t", b'"', b"F\t4\tSync\n", b"B\t5\tReadyForQuery\t I\n", b"B\t5\tReadyForQuery\t T\n",
        b"F\t4\tFlush\n", b'B\t10\tErrorResponse\t S "E" \\x00\n', b'F\t5\tQuery\t ""\n',
        b'F\t13\tQuery\t "a\nb;c;d"\n', b'F\t8\tParse\t "" "" 0\n', b'F\t21\tParse\t "" "" 2 23 \n 1\n',
        b"B\t10\tRowDescription\t 0\n", b'B\t28\tRowDescription\t 1 "a\nb" 0 0 23 4 -1 0\n',
        b"B\t11\tDataRow\t 1 1 '1'\n", b"F\t6\tCopyData\t '\\x0a'\n", b"F\t4\tCopyDone\n",
        b"B\t7\tCopyInResponse\t 0 0\n", b"F\t8\tUnknown message: length is 8\n", b"F\t8\tSSLRequest\t 1234 5679\n",
        b"B\t1\tSSLResponse\t N\n", b"F\t4\tTerminate\n", b"B\t4\tParseComplete\n", b"B\t4\tBindComplete\n",
        b'B\t13\tCommandComplete\t "COMMIT"\n', b"mismatched message length: consumed 4\n", b'F\t9\tExecute\t "" 0\n',
        b'F\t12\tBind\t "" "" 0 0 0\n', b'B\t20\tNotificationResponse\t 1 "a" "b"\n', b"99999999", b"-1", b"0",
    ],
}  # fmt: skip
_NUMBER = re.compile(rb"\d+")


def mutated(random: Random, seeds: Sequence[Stream]) -> Stream:
    """One seed, or part of it, changed a few times; `seeds` are of one reader."""
    seed = random.choice(seeds)
    events = list(seed.events)
    if len(events) > 6 and random.random() < 0.5:
        start = random.randrange(len(events) - 3)
        events = events[start : start + random.randint(2, 12)]
    startup = seed.startup if random.random() < 0.8 else not seed.startup
    for _ in range(random.choice((0, 1, 1, 2, 3, 5, 8))):
        random.choice(CHANGES)(random, events, seeds)
    return limited(Stream(seed.reader, startup, tuple(events)))


def limited(stream: Stream) -> Stream:
    kept, left = [], MOST_BYTES
    for direction, data in stream.events[:MOST_EVENTS]:
        kept.append((direction, data[:left]))
        left -= len(data[:left])
    return stream._replace(events=tuple(kept))


def _place(random: Random, events: list[Event]) -> tuple[int, int, bytes, int]:
    """Some event and some place in it, often where a line or message begins or ends."""
    if not events:
        events.append((random.choice((SENT, RECEIVED)), b""))
    at = random.randrange(len(events))
    direction, data = events[at]
    edge = data.find(b"\n", random.randrange(len(data))) + 1 if data and random.random() < 0.4 else 0
    return at, direction, data, edge or random.randint(0, len(data))


def flip(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    at, direction, data, place = _place(random, events)
    events[at] = (
        direction,
        data[:place] + bytes([random.choice((0, 10, 13, 34, 255, random.randrange(256)))]) + data[place + 1 :],
    )


def insert(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    at, direction, data, place = _place(random, events)
    token = random.choice(TOKENS[seeds[0].reader]) * random.choice((1, 1, 1, 2, 5, 30))
    events[at] = direction, data[:place] + token + data[place:]


def cut(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    at, direction, data, place = _place(random, events)
    events[at] = direction, data[:place] + data[place + random.choice((1, 1, 2, 4, 8, 40, 4000)) :]


def repeat(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    at, direction, data, place = _place(random, events)
    size = random.choice((1, 4, 10, 40))
    events[at] = direction, data[:place] + data[place : place + size] * random.choice((2, 3, 10)) + data[place + size :]


def renumber(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    """Another length or count: the next one up or down, none, huge."""
    at, direction, data, _ = _place(random, events)
    if seeds[0].reader == "postgres":
        place = data.find(b"\0\0", random.randint(0, len(data))) + 3
        if 3 <= place < len(data):
            events[at] = (
                direction,
                data[:place] + bytes([(data[place] + random.choice((1, -1, 4, 100))) % 256]) + data[place + 1 :],
            )
        return
    numbers = list(_NUMBER.finditer(data))
    if numbers:
        found = random.choice(numbers)
        number = random.choice((int(found[0][:9]) + 1, int(found[0][:9]) - 1, 0, -1, 2, 64, 65536, 10**9, 10**40))
        events[at] = direction, data[: found.start()] + b"%d" % number + data[found.end() :]


def splice(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    at, _, _, _ = _place(random, events)
    other = random.choice(seeds).events
    start = random.randrange(len(other))
    events[at:at] = other[start : start + random.randint(1, 4)]


def divide(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    """Half a message, something else, the other half."""
    at, direction, data, place = _place(random, events)
    between = random.choice(events)
    events[at : at + 1] = [(direction, data[:place]), between, (direction, data[place:])]


def reorder(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    at, _, _, _ = _place(random, events)
    other = random.randrange(len(events))
    events[at], events[other] = events[other], events[at]


def drop(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    at, _, _, _ = _place(random, events)
    del events[at]


def turn(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    """Said by the other side; or it only arrived."""
    at, _, data, _ = _place(random, events)
    events[at] = random.choice((SENT, RECEIVED, ARRIVED, ARRIVED)), data


def happen(random: Random, events: list[Event], seeds: Sequence[Stream]) -> None:
    at, _, _, _ = _place(random, events)
    events.insert(at, (random.choice((LOOKED, LOOKED, CLOSED)), b""))


CHANGES: tuple[Change, ...] = (
    flip, flip, insert, insert, insert, cut, cut, repeat, renumber, splice, divide, divide, reorder, drop, turn, happen,
)  # fmt: skip
