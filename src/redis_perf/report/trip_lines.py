"""Round trips as lines of a file, many of them fast.

Most of a line is the same as on many others: what was asked, where, on which connection. That part is made, and read,
once. The lines are those of `redis_perf.report.jsonl` with what varies put first; a line whose attributes stand in
another order reads the same, only slower.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, Final

from redis_perf.report.attributes import Attributes
from redis_perf.report.records import from_round_trip, to_round_trip
from redis_perf.round_trip import round_trip
from redis_perf.trace import RoundTrip

MOST_KEPT: Final = 20_000
"""So many kinds of lines are remembered; then it begins anew."""

_NAMES: Final = tuple(field.name for field in fields(RoundTrip))
_VARIES: Final = ("started_ns", "ended_ns", "sent_bytes", "received_bytes", "arguments", "key")
_SAME: Final = tuple(name for name in _NAMES if name not in _VARIES)
_BEFORE: Final = _NAMES.index(_VARIES[0])
_OF_SAME = attrgetter(*_SAME)
_ATTRIBUTES: Final = frozenset(f"redisperf.{name}" for name in _VARIES)
_BEGIN: Final = '{"redisperf.kind":"round_trip","redisperf.started_ns":'

_NUMBER: Final = r"(-?(?:0|[1-9]\d{0,17}))"
_LINE: Final = re.compile(
    rf'\{{"redisperf\.kind":"round_trip","redisperf\.started_ns":{_NUMBER},"redisperf\.ended_ns":{_NUMBER}'
    + "".join(rf'(?:,"redisperf\.{name}":{_NUMBER})?' for name in _VARIES[2:])
    + r",(.+)"
)


class TripWriter:
    """Remembers what it has written. `begin` each trace, for hashes of arguments compare within one only."""

    def __init__(self) -> None:
        self._known: dict[Hashable, str] = {}
        self._hashes: dict[int, int] = {}

    def begin(self) -> None:
        self._hashes.clear()

    def line(self, trip: RoundTrip) -> str:
        same = _OF_SAME(trip)
        rest = self._known.get(same)
        if rest is None:
            rest = _rest(trip)
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[same] = rest
        sent = "" if trip.sent_bytes is None else f',"redisperf.sent_bytes":{trip.sent_bytes}'
        received = "" if trip.received_bytes is None else f',"redisperf.received_bytes":{trip.received_bytes}'
        return (
            f'{_BEGIN}{trip.started_ns},"redisperf.ended_ns":{trip.ended_ns}{sent}{received}{self._asked(trip)},{rest}'
        )

    def _asked(self, trip: RoundTrip) -> str:
        """Which are the same, numbered in order of appearance: the hashes themselves stay here."""
        known, arguments, key = self._hashes, trip.arguments, trip.key
        said = "" if arguments is None else f',"redisperf.arguments":{known.setdefault(arguments, len(known))}'
        return said if key is None else f'{said},"redisperf.key":{known.setdefault(key, len(known))}'


def _rest(trip: RoundTrip) -> str:
    record = {name: value for name, value in from_round_trip(trip).items() if name not in _ATTRIBUTES}
    return json.dumps(record, separators=(",", ":"))[1:] + "\n"


def trip_of(attributes: Attributes) -> RoundTrip:
    """From a line in any order. Raises WrongAttribute."""
    arguments, key = (attributes.seen_number(f"redisperf.{name}") for name in ("arguments", "key"))
    return replace(to_round_trip(attributes), arguments=arguments, key=key)


class TripReader:
    """Remembers what it has read."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {}

    def trip(self, line: str) -> RoundTrip | None:
        """The round trip of a line as `TripWriter` makes them; None for any other line.

        Raises WrongAttribute as `to_round_trip` does.
        """
        found = _LINE.fullmatch(line.rstrip("\n"))
        if found is None:
            return None
        *numbers, rest = found.groups()
        values = self._known.get(rest)
        if values is None:
            values = self._learn(rest, line)
        started, ended, sent, received, arguments, key = [None if each is None else int(each) for each in numbers]
        before, after = values
        every: list[Any] = [*before, started, ended, sent, received, *after, arguments, key]
        return round_trip(*every)

    def _learn(self, rest: str, line: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """What stands before the numbers among a round trip's fields, and what between them and the last two."""
        values: tuple[Any, ...] = _OF_SAME(to_round_trip(Attributes.of(line)))
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[rest] = values[:_BEFORE], values[_BEFORE:]
        return self._known[rest]
