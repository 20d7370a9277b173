"""Every recorded stream, and every stream that once broke an invariant, against all of them (see `invariants.py`).

Looking for more is `nox -s fuzz`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import growth
import invariants
import mutate
import streams
from streams import FOUND, SEEDS, Stream

from redis_perf.wire import ARRIVED, CLOSED, SENT

SEEDED, ONCE_BROKEN = streams.corpus(SEEDS), streams.corpus(FOUND)


def pieces_of(size: int, data: bytes) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


@pytest.mark.parametrize("name", [*SEEDED, *ONCE_BROKEN])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_stream_is_counted_alike_however_it_is_cut(name: str, size: int) -> None:
    stream = (SEEDED | ONCE_BROKEN)[name]
    straight = invariants.outcome(stream, stream.events)
    pieces = invariants.outcome(stream, stream.events, partial(pieces_of, size))
    assert list(invariants.differences(straight, pieces)) == []


@pytest.mark.parametrize("name", [*SEEDED, *ONCE_BROKEN])
def test_a_beginning_is_counted_alike_whatever_follows(name: str) -> None:
    stream = (SEEDED | ONCE_BROKEN)[name]
    straight = invariants.outcome(stream, stream.events)
    assert [wrong for number in range(20) for wrong in invariants.forgotten(stream, Random(number), straight)] == []


@pytest.mark.parametrize("name", SEEDED)
def test_what_was_recorded_is_understood_to_its_end(name: str) -> None:
    stream = SEEDED[name]
    told = invariants.outcome(stream, stream.events)
    assert (told.refusal, told.crash) == (None, None)
    assert sum(len(trip.operations) for trip in (*told.finished, *told.unfinished)) > 0
    assert {trip.answer for trip in (*told.finished, *told.unfinished)} <= {"complete", "none owed"}


def test_a_stream_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    odd = Stream("resp", False, ((SENT, b"\\ \n\x00 "), (CLOSED, b""), (ARRIVED, b" ")))
    for number, stream in enumerate([*SEEDED.values(), odd]):
        path = tmp_path / f"{number}.txt"
        streams.write(path, stream, "a remark\nof two lines")
        assert streams.read(path) == stream


def test_a_mutated_stream_follows_from_its_number() -> None:
    seeds = list(SEEDED.values())
    assert mutate.mutated(Random("1"), seeds) == mutate.mutated(Random("1"), seeds)
    assert mutate.mutated(Random("1"), seeds) != mutate.mutated(Random("2"), seeds)


@pytest.mark.parametrize("name", growth.HARD)
def test_what_is_hard_to_read_is_kept_in_bounded_memory(name: str) -> None:
    _, kept_bytes = growth.spent(*growth.HARD[name], 1 << 14)
    assert kept_bytes < growth.KEPT_BYTES
