"""What must hold for any bytes whatever; `broken` says what does not.

1. A meter raises ProtocolError or nothing.
2. However the bytes are cut, the round trips are the same, and so is the refusal.
3. What was counted is counted the same whatever follows, in the same chunk or later.
4. Time is bounded by the number of bytes and pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random
from time import thread_time
from typing import NamedTuple

from streams import Events, Stream

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.trace import RoundTrip
from redis_perf.wire import Meter
from redis_perf.wire.libpq_trace import LibpqTraceMeter
from redis_perf.wire.postgres import PostgresMeter
from redis_perf.wire.resp import RespMeter

SECONDS = 0.25
SECONDS_PER_BYTE = 200e-6
"""Many times what any byte costs, even alone in its chunk, on a busy machine."""

Cutter = Callable[[bytes], Sequence[bytes]]


class Outcome(NamedTuple):
    """What a meter made of a stream."""

    finished: tuple[RoundTrip, ...]
    unfinished: tuple[RoundTrip, ...]
    refusal: str | None
    crash: str | None = None

    @property
    def comparable(self) -> object:
        """Once a stream was refused, the sizes of what is in flight depend on how much came with the refused byte."""
        trips = self.unfinished
        if self.refusal is not None:
            trips = tuple(replace(trip, sent_bytes=0, received_bytes=0) for trip in trips)
        return self.finished, trips, self.refusal, self.crash


def metered(stream: Stream, emit: Callable[[RoundTrip], None]) -> tuple[Conversation, Meter]:
    conversation = Conversation("redis" if stream.reader == "resp" else "postgres", 1, emit)
    if stream.reader == "resp":
        return conversation, RespMeter(conversation, startup=stream.startup)
    if stream.reader == "libpq":
        return conversation, LibpqTraceMeter(conversation, startup=stream.startup)
    return conversation, PostgresMeter(conversation, startup=stream.startup)


def whole(data: bytes) -> Sequence[bytes]:
    return (data,)


def outcome(stream: Stream, events: Events, cut: Cutter = whole) -> Outcome:
    """Pieces of one event have its time."""
    finished: list[RoundTrip] = []
    conversation, meter = metered(stream, finished.append)
    refusal = crash = None
    try:
        for at_ns, (direction, data) in enumerate(events):
            for piece in cut(data):
                meter.feed(at_ns, direction, piece)
    except ProtocolError as refused:
        refusal = str(refused)
    except Exception as bug:
        crash = repr(bug)
    return Outcome(tuple(finished), tuple(conversation.unfinished()), refusal, crash)


def bytewise(data: bytes) -> Sequence[bytes]:
    return [data[at : at + 1] for at in range(len(data))] or [b""]


def cutter(random: Random) -> Cutter:
    """Some way of cutting: into bytes, or at random."""
    most = random.choice((1, 2, 3, 7, 30, 200))
    if most == 1:
        return bytewise

    def cut(data: bytes) -> Sequence[bytes]:
        pieces, at = [], 0
        while at < len(data):
            size = random.randint(1, most)
            pieces.append(data[at : at + size])
            at += size
        return pieces or [b""]

    return cut


def broken(stream: Stream, random: Random) -> list[str]:
    """Every invariant this stream breaks."""
    begun = thread_time()
    straight = outcome(stream, stream.events)
    pieces = outcome(stream, stream.events, cutter(random))
    found = list(differences(straight, pieces))
    if stream.events and random.random() < 0.25:
        found += forgotten(stream, random, straight)
    spent = thread_time() - begun
    allowed = SECONDS + SECONDS_PER_BYTE * stream.size_bytes
    if spent > allowed and _again(stream) > allowed:
        found.append(f"took {spent:.2f} s for {stream.size_bytes} bytes")
    return found


def differences(straight: Outcome, pieces: Outcome) -> Iterator[str]:
    if straight.crash:
        yield f"raised {straight.crash}"
    elif straight.comparable != pieces.comparable:
        yield f"in one piece: {straight.comparable}\nin pieces:    {pieces.comparable}"


def forgotten(stream: Stream, random: Random, straight: Outcome) -> Iterator[str]:
    """Whether a beginning is counted otherwise because of what follows in the same chunk."""
    end = random.randint(1, len(stream.events))
    direction, data = stream.events[end - 1]
    garbage = random.choice((b"\0", b"\r\n", b"\xff" * 9, b"*", random.randbytes(8)))
    alone = outcome(stream, stream.events[:end])
    followed = outcome(stream, (*stream.events[: end - 1], (direction, data + garbage)))
    for longer, what in ((straight, "what really follows"), (followed, f"{garbage!r}")):
        if longer.finished[: len(alone.finished)] != alone.finished:
            yield f"the first {end} events end differently before {what}: {alone.finished} {longer.finished}"
        later = [*longer.finished[len(alone.finished) :], *longer.unfinished]
        for trip in alone.unfinished:
            if not any(_continues(trip, after) for after in later):
                yield f"what is asked of {trip} is gone before {what}: {later}"


def _continues(trip: RoundTrip, later: RoundTrip) -> bool:
    before, after = ([operation.name for operation in each.operations] for each in (trip, later))
    return trip.started_ns == later.started_ns and after[: len(before)] == before


def _again(stream: Stream) -> float:
    begun = thread_time()
    outcome(stream, stream.events, bytewise)
    return thread_time() - begun
