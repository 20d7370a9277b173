"""Whatever is pushed, in whatever order things happen: each turn is in Postgres once, and history is its end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_perf_reference import Turn
from redis_perf_reference.entry import Entry, decode, encode, unbroken
from redis_perf_reference.keys import keys_of
from redis_perf_reference.rows import columns
from redis_perf_reference.window import Window

NOW = datetime.now(UTC)
MAX_TURNS = 20
numbers = itertools.count()

texts = st.text().map(lambda text: text.replace("\x00", ""))
long_texts = st.builds(lambda text, times: text * times, texts, st.sampled_from([1, 1, 1, 1000, 100_000]))
times = st.datetimes(
    datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))])
)
turns = st.builds(
    Turn,
    role=texts,
    content=long_texts,
    turn_id=st.builds(lambda text: f"{next(numbers)}{text}", texts),
    channel_id=texts,
    created_at=times,
    token_count=st.integers(0, 2**31 - 1) | st.integers(0, 9),
)
small = st.builds(lambda tokens: Turn("user", "x", f"{next(numbers)}", "", NOW, tokens), st.integers(0, 9))
sessions = st.sampled_from(["a", "b", "c' \"{}\\é"])
batches = st.lists(turns, max_size=3) | st.integers(0, 200).flatmap(lambda n: st.lists(small, min_size=n, max_size=n))
steps = st.lists(
    st.tuples(st.just("push"), sessions, batches)
    | st.tuples(st.sampled_from(["again", "flush", "clear", "restart", "set_aside"]), st.none(), st.none())
    | st.tuples(st.just("lose"), st.integers(0, MAX_TURNS), st.none()),
    max_size=8,
)
windows = st.builds(Window, st.integers(1, 30), st.none() | st.integers(0, 60), st.none() | sessions)
patient = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def asked(said: Sequence[tuple[str, Turn]], window: Window) -> list[Turn]:
    """What a window over all that was said must hold, spelled out one turn at a time."""
    matching = [turn for session, turn in said if window.session_id in (None, session)][-window.last_turns :]
    for start in range(len(matching) + 1):
        if window.last_tokens is None or sum(turn.token_count for turn in matching[start:]) <= window.last_tokens:
            return matching[start:]
    raise AssertionError("the empty list costs no tokens")


@patient
@given(steps=steps, window=windows)
def test_history_and_postgres_hold_what_was_pushed(world: Any, steps: list[Any], window: Window) -> None:
    user_id, said = f"user {next(numbers)}", list[tuple[str, Turn]]()
    memory = cached_memory(world)
    key = keys_of("working", user_id).turns
    for step, argument, batch in steps:
        if step == "push":
            assert memory.push_turns(user_id, argument, batch).cached
            said += [(argument, turn) for turn in batch]
        elif step == "again" and said:
            memory.push_turn(user_id, *said[len(said) // 2])
        elif step in ("flush", "clear"):
            getattr(memory, step)(user_id)
        elif step == "restart":
            world.redis.flushall()
        elif step == "set_aside":
            world.redis.rpush(key, b"not a turn")
        elif step == "lose":
            lose(world.redis, key, argument)
        found = memory.history(user_id, window.session_id, last_turns=window.last_turns, last_tokens=window.last_tokens)
        assert found == asked(said, window)
    assert world.saved(user_id) == [(session, turn.turn_id, turn.content) for session, turn in said]
    assert memory.history(user_id) == asked(said, Window(MAX_TURNS))


def lose(redis: Any, key: str, index: int) -> None:
    """Takes one turn out of the cached list; not the last, whose absence no list can show."""
    lines = [line for line in redis.lrange(key, 0, -1) if decode(line) is not None]
    if index < len(lines) - 1:
        redis.lrem(key, 1, lines[index])


def cached_memory(world: Any) -> Any:
    """One memory for all examples of a test."""
    if not hasattr(world, "shared"):
        world.shared = world.memory(max_turns=MAX_TURNS, client={"socket_timeout": 10})
    return world.shared


@given(turn=turns, position=st.integers(1, 2**63 - 1), before=st.none() | st.integers(1, 2**62), session=texts)
def test_an_entry_survives_redis(turn: Turn, position: int, before: int | None, session: str) -> None:
    previous = None if before is None or before >= position else position - before
    entry = Entry(position, previous, session, turn)
    assert decode(encode(entry)) == entry


@given(st.binary() | st.binary().map(lambda tail: b'{"position":1,' + tail))
def test_bytes_that_are_no_entry_are_none(raw: bytes) -> None:
    assert decode(raw) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("turn_id", b'""'), ("turn_id", b"1"), ("token_count", b'"1"'), ("token_count", b"-1"), ("token_count", b"true"),
     ("role", b"null"), ("content", b'"\\u0000"'), ("content", b'"\\ud800"'), ("created_at", b'"2026-01-01T00:00:00"'),
     ("created_at", b'"0001-01-01T00:00:00+23:00"'), ("session_id", b"[]"), ("previous", b'"1"'), ("previous", b"9")],
)  # fmt: skip
def test_an_entry_with_a_wrong_field_is_none(field: str, value: bytes) -> None:
    sound = {"position": b"2", "previous": b"1", "session_id": b'"s"', "turn_id": b'"1"', "role": b'"user"'}
    sound |= {"content": b'"x"', "channel_id": b'""', "created_at": b'"2026-01-01T00:00:00+00:00"', "token_count": b"1"}

    def line(fields: dict[str, bytes]) -> bytes:
        return b"{" + b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields.items()) + b"}"

    assert decode(line(sound)) is not None
    assert decode(line(sound | {field: value})) is None


@given(st.lists(turns, max_size=5))
def test_the_columns_of_a_batch_are_of_one_length(batch: list[Turn]) -> None:
    assert {len(column) for column in columns(batch).values()} == {len(batch)}


@given(said=st.lists(st.tuples(sessions, small), max_size=12), kept=st.sets(st.integers(1, 12)), window=windows)
def test_a_cached_list_with_holes_is_right_or_refused(
    said: list[tuple[str, Turn]], kept: set[int], window: Window
) -> None:
    whole = [Entry(n, n - 1 or None, session, turn) for n, (session, turn) in enumerate(said, 1)]
    cached = [entry for entry in whole if entry.position in kept or entry.position == len(whole)]
    assert window.in_cache(cached) in (None, asked(said, window))
    assert (window.in_cache(whole) is not None) == bool(whole)
    assert list(unbroken(cached)) == cached[len(cached) - len(unbroken(cached)) :]


@pytest.mark.parametrize("wrong", [{"last_turns": 0}, {"last_turns": 1, "last_tokens": -1}])
def test_a_window_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"^last_(turns is 0: ask for 1|tokens is -1: ask for 0) or more$"):
        Window(**wrong)
