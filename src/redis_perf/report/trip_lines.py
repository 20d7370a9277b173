"""Round trips as lines of a file, many of them fast.

Most of a line is the same as on many others: what was asked, where, on which connection. That part is made, and read,
once. The lines are those of `redis_perf.report.jsonl` with what varies put first; a line whose attributes stand in
another order reads the same, only slower.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from redis_perf.analysis.alike import kinds
from redis_perf.report.attributes import Attributes
from redis_perf.report.records import from_round_trip, to_round_trip
from redis_perf.round_trip import SAME_BEFORE, VARIES, of_same, round_trip
from redis_perf.trace import RoundTrip

MOST_KEPT: Final = 20_000
"""So many kinds of lines are remembered; then it begins anew."""

_ATTRIBUTES: Final = frozenset(f"redisperf.{name}" for name in VARIES)
_BEGIN: Final = '{"redisperf.kind":"round_trip","redisperf.started_ns":'

_NUMBER: Final = r"(-?(?:0|[1-9]\d{0,17}))"
_LINE: Final = re.compile(
    rf'\{{"redisperf\.kind":"round_trip","redisperf\.started_ns":{_NUMBER},"redisperf\.ended_ns":{_NUMBER}'
    + "".join(rf'(?:,"redisperf\.{name}":{_NUMBER})?' for name in VARIES[2:])
    + r",(.+)"
)


class TripWriter:
    """Remembers what it has written."""

    def __init__(self) -> None:
        self._known: dict[Hashable, str] = {}

    def parts(self, trips: Sequence[RoundTrip]) -> Iterator[tuple[str, str]]:
        """Both parts of each line of one trace, the second with its newline. Hashes of arguments stay here: in the file
        they are numbers, in order of appearance, which compare within one trace only."""
        (marks, ones), hashes = kinds(trips), dict[int, int]()
        rests = {mark: self._rest(trip) for mark, trip in ones.items()}
        return zip([_varying(trip, hashes) for trip in trips], [rests[mark] for mark in marks], strict=True)

    def _rest(self, trip: RoundTrip) -> str:
        same = of_same(trip)
        rest = self._known.get(same)
        if rest is None:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            rest = self._known[same] = _rest(trip)
        return rest


def _varying(trip: RoundTrip, hashes: dict[int, int]) -> str:
    sent_bytes, received_bytes, arguments, key = trip.sent_bytes, trip.received_bytes, trip.arguments, trip.key
    sent = "" if sent_bytes is None else f',"redisperf.sent_bytes":{sent_bytes}'
    received = "" if received_bytes is None else f',"redisperf.received_bytes":{received_bytes}'
    asked = "" if arguments is None else f',"redisperf.arguments":{hashes.setdefault(arguments, len(hashes))}'
    about = "" if key is None else f',"redisperf.key":{hashes.setdefault(key, len(hashes))}'
    return f'{_BEGIN}{trip.started_ns},"redisperf.ended_ns":{trip.ended_ns}{sent}{received}{asked}{about},'


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
        self._known: dict[str, tuple[tuple[Any, ...], tuple[Any, ...], object]] = {}

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
        before, after, mark = values
        every: list[Any] = [*before, started, ended, sent, received, *after, arguments, key, mark]
        return round_trip(*every)

    def _learn(self, rest: str, line: str) -> tuple[tuple[Any, ...], tuple[Any, ...], object]:
        """What stands before the numbers among a round trip's fields, what between them and the last two, and a mark
        of those that are alike."""
        values: tuple[Any, ...] = of_same(to_round_trip(Attributes.of(line)))
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[rest] = values[:SAME_BEFORE], values[SAME_BEFORE:], object()
        return self._known[rest]
