"""The fourteen ways in which a working memory like this was seen to lose, double or mix up turns; one test for each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from redis.crc import key_slot

from redis_perf_reference import CacheUnavailable, Flushed, NotAutocommit, NotFlushed, OneConnection, Turn, TurnConflict
from redis_perf_reference import WorkingMemory as SyncWorkingMemory
from redis_perf_reference.entry import Entry, encode
from redis_perf_reference.keys import keys_of
from redis_perf_reference.resources import sql

KEY = "working:{ada}:turns"


def turns(count: int) -> list[Turn]:
    return [Turn("user" if n % 2 else "assistant", f"turn {n}", turn_id=str(n), token_count=n) for n in range(count)]


def contents(memory: Any, user_id: str = "ada", *args: Any, **options: Any) -> list[str]:
    return [turn.content for turn in memory.history(user_id, *args, **options)]


def lose_in_postgres(world: Any) -> None:
    """Turns that are in Redis only, as after Postgres was restored from an older backup."""
    world.postgres.execute("TRUNCATE messages")


def test_trap_01_turns_stay_when_postgres_refuses_the_flush(world: Any, postgres_relay: Any) -> None:
    memory = world.memory(dsn=postgres_relay.address)
    memory.push_turns("ada", "s", turns(3))
    lose_in_postgres(world)
    cached = world.turns("ada")
    postgres_relay.mode = "refuse"
    with pytest.raises(NotFlushed, match=r"flush of user 'ada': 3 turns not saved, kept in Redis: ") as refusal:
        memory.flush("ada")
    assert refusal.value.unsaved == 3
    assert isinstance(refusal.value.__cause__, psycopg.Error)
    assert world.turns("ada") == cached
    assert world.memory().flush("ada") == Flushed(added=3)
    assert [turn_id for _, turn_id, _ in world.saved("ada")] == ["0", "1", "2"]


def test_trap_02_a_turn_pushed_while_a_flush_runs_stays(world: Any) -> None:
    other, late = world.other(), [Turn("user", "late", turn_id="late")]
    memory = world.memory(before_postgres=lambda: other.push_turns("ada", "s", late))
    other.push_turns("ada", "s", turns(3))
    assert memory.flush("ada") == Flushed(known=3)
    assert [json.loads(line)["turn_id"] for line in world.turns("ada")] == ["late"]
    assert contents(other) == ["turn 0", "turn 1", "turn 2", "late"]


def test_trap_02_a_flush_removes_only_what_it_saved_when_the_list_was_trimmed_meanwhile(world: Any) -> None:
    other, more = world.other(max_turns=3), turns(6)[3:]
    memory = world.memory(max_turns=3, before_postgres=lambda: other.push_turns("ada", "s", more))
    other.push_turns("ada", "s", turns(3))
    memory.flush("ada")
    assert [json.loads(line)["turn_id"] for line in world.turns("ada")] == ["3", "4", "5"]


def test_trap_03_the_summary_is_saved_and_outlives_flush_and_clear(world: Any) -> None:
    memory = world.memory()
    memory.set_summary("ada", "likes tea")
    memory.set_summary("ada", "likes tea, no sugar")
    memory.flush("ada")
    assert world.redis.exists("working:{ada}:summary") == 1
    memory.clear("ada")
    assert world.redis.exists("working:{ada}:summary") == 0
    assert memory.summary("ada") == "likes tea, no sugar"


@pytest.mark.parametrize("bad", [b"{not json", b"\xff\xfe", b"[]", b'{"position":1,"turn_id":"1"}', b""])
def test_trap_04_one_unreadable_turn_is_set_aside_and_the_rest_is_flushed(world: Any, bad: bytes) -> None:
    memory = world.memory(client={"decode_responses": True})
    memory.push_turns("ada", "s", turns(2))
    world.redis.rpush(KEY, bad)
    memory.push_turns("ada", "s", turns(4)[2:])
    lose_in_postgres(world)
    assert contents(memory, last_turns=2) == ["turn 2", "turn 3"]
    assert memory.flush("ada") == Flushed(added=4, set_aside=1)
    assert (world.turns("ada"), memory.set_aside("ada")) == ([], [bad])
    assert len(world.saved("ada")) == 4


def test_trap_05_a_nul_character_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(
        ValueError, match=r"^content holds a NUL character at 2: Postgres text cannot; remove it first$"
    ):
        Turn("user", "ab\x00")
    with pytest.raises(ValueError, match=r"^content holds a lone surrogate at 0: it has no UTF-8 form$"):
        Turn("user", "\ud800")


def test_trap_05_a_nul_character_from_another_writer_is_set_aside(world: Any) -> None:
    memory = world.memory()
    memory.push_turns("ada", "s", turns(2))
    bad = encode(Entry(10**6, None, "s", turns(1)[0])).replace(b"turn 0", b"nul \\u0000")
    world.redis.rpush(KEY, bad)
    lose_in_postgres(world)
    assert memory.flush("ada") == Flushed(added=2, set_aside=1)
    assert memory.set_aside("ada") == [bad]


def test_trap_06_arrays_of_unequal_length_are_refused_not_padded(world: Any) -> None:
    parameters = {"user_id": "ada", "session_ids": ["s", "s"], "turn_ids": ["1", "2"], "roles": ["user", "user"]}
    parameters |= {"contents": ["only one"], "channel_ids": ["", ""], "created_ats": [datetime.now(UTC)] * 2}
    with pytest.raises(psycopg.errors.NotNullViolation):
        world.postgres.execute(sql("flush"), parameters | {"token_counts": [0, 0]})
    assert world.saved("ada") == []


def test_trap_07_flushing_and_pushing_again_doubles_nothing(world: Any) -> None:
    memory = world.memory()
    for _ in range(2):
        memory.push_turns("ada", "s", turns(2))
    before = world.saved("ada")
    cached = world.turns("ada")
    memory.flush("ada")
    world.redis.rpush(KEY, *cached, *cached)
    assert memory.flush("ada") == Flushed(known=4)
    assert (world.saved("ada"), len(before), world.turns("ada")) == (before, 2, [])


def test_trap_08_sessions_and_users_do_not_merge(world: Any) -> None:
    memory = world.memory()
    for user_id, session_id, content in (("ada", "a", "1"), ("ada", "b", "2"), ("bob", "a", "3")):
        memory.push_turn(user_id, session_id, Turn("user", content, turn_id="1"))
    assert (contents(memory, "ada", "a"), contents(memory, "ada", "b")) == (["1"], ["2"])
    assert (contents(memory, "ada"), contents(memory, "bob")) == (["1", "2"], ["3"])
    memory.clear("ada")
    assert contents(memory, "ada", "b") == ["2"]


def test_trap_08_ids_of_milliseconds_and_uuids_fit(world: Any) -> None:
    memory, ids = world.memory(), ["1763769600000", str(2**63), "018f3a2e-0000-7000-8000-000000000000"]
    memory.push_turns("ada", "s", [Turn("user", "x", turn_id=turn_id) for turn_id in ids])
    assert [turn.turn_id for turn in memory.history("ada")] == ids
    memory.clear("ada")
    assert [turn.turn_id for turn in memory.history("ada")] == ids


def test_trap_09_a_list_is_never_without_bound_or_expiry(world: Any) -> None:
    memory = world.memory(max_turns=3, ttl_seconds=60)
    for turn in turns(5):
        world.redis.config_resetstat()
        memory.push_turn("ada", "s", turn)
        assert world.redis.llen(KEY) <= 3
        assert 0 < world.redis.pttl(KEY) <= 60_000
        scripts = {name: stat["calls"] for name, stat in world.redis.info("commandstats").items() if "eval" in name}
        assert sum(scripts.values()) in (1, 2)  # 2 when the server does not know the script yet: EVALSHA, EVAL
    assert contents(memory) == ["turn 2", "turn 3", "turn 4"]


def test_trap_10_a_push_repeated_after_a_lost_reply_is_there_once(world: Any, redis_relay: Any) -> None:
    turn = turns(1)[0]
    world.memory().push_turn("bob", "s", turn)
    memory = world.memory(redis_url=redis_relay.address)
    memory.history("ada")
    redis_relay.mode = "lose_reply"
    pushed = memory.push_turn("ada", "s", turn)
    assert not pushed.cached
    assert pushed.skipped.startswith("Redis did not answer EVALSHA: ")
    redis_relay.mode = "pass"
    assert memory.push_turn("ada", "s", turn).cached
    assert (len(world.turns("ada")), len(world.saved("ada"))) == (1, 1)


def test_trap_10_one_id_for_two_different_turns_is_refused(world: Any) -> None:
    memory = world.memory()
    memory.push_turn("ada", "s", Turn("user", "first", turn_id="1"))
    with pytest.raises(TurnConflict, match=r"^session 's': turn ids \['1'\] are taken by turns with another role or "):
        memory.push_turns("ada", "s", [Turn("user", "second", turn_id="1"), Turn("user", "new", turn_id="2")])
    assert contents(memory) == ["first", "new"]


def test_trap_11_a_connection_that_would_open_a_transaction_is_refused(world: Any) -> None:
    with psycopg.connect(world.dsn) as connection:
        memory = SyncWorkingMemory(world.redis, OneConnection(connection))
        with pytest.raises(NotAutocommit, match=r"^this connection is not in autocommit mode: connect with autocommit"):
            memory.push_turn("ada", "s", turns(1)[0])
    with world.postgres.transaction():
        memory = SyncWorkingMemory(world.redis, OneConnection(world.postgres))
        with pytest.raises(NotAutocommit, match=r"^a transaction is open on this connection: connect with autocommit"):
            memory.push_turn("ada", "s", turns(1)[0])
    assert (world.saved("ada"), world.turns("ada")) == ([], [])


@pytest.mark.parametrize("user_id", ["ada", "a}b", "{", "}", "{}", "%7D", "ada:turns", "日本"])
def test_trap_12_all_keys_of_a_user_share_a_cluster_slot(world: Any, user_id: str) -> None:
    keys = keys_of("working", user_id)
    names = (keys.turns, keys.summary, keys.aside, keys.gone)
    assert len({key_slot(name.encode()) for name in names}) == 1
    memory = world.memory()
    memory.push_turns(user_id, "s", turns(2))
    memory.set_summary(user_id, "x")
    assert world.redis.exists(keys.turns, keys.summary) == 2
    memory.clear(user_id)
    assert world.redis.dbsize() == 0


def test_trap_12_different_users_have_different_keys() -> None:
    users = ["a}b", "a%7Db", "a%257Db", "{a", "a"]
    assert len({keys_of("working", user_id).turns for user_id in users}) == len(users)
    with pytest.raises(ValueError, match=r"^user_id is empty$"):
        keys_of("working", "")


def test_trap_13_an_error_reply_of_redis_is_not_overlooked(world: Any) -> None:
    memory = world.memory()
    memory.push_turn("bob", "s", turns(1)[0])
    world.redis.set(KEY, "not a list")
    pushed = memory.push_turn("ada", "s", turns(1)[0])
    assert "WRONGTYPE" in pushed.skipped
    assert contents(memory) == ["turn 0"]
    with pytest.raises(CacheUnavailable, match=r"Redis refused LRANGE: .*WRONGTYPE"):
        memory.flush("ada")


def test_trap_14_redis_is_not_told_of_what_postgres_refused(world: Any, postgres_relay: Any) -> None:
    memory = world.memory(dsn=postgres_relay.address)
    memory.push_turn("ada", "s", turns(1)[0])
    postgres_relay.mode = "refuse"
    with pytest.raises(psycopg.OperationalError):
        memory.push_turn("ada", "s", turns(2)[1])
    assert len(world.turns("ada")) == 1


def test_trap_14_an_expired_list_is_refilled_and_a_push_before_that_does_not_hide_the_past(world: Any) -> None:
    memory, all_turns = world.memory(), turns(4)
    memory.push_turns("ada", "s", all_turns[:3])
    world.redis.delete(KEY)
    memory.push_turn("ada", "s", all_turns[3])
    assert len(world.turns("ada")) == 1
    assert memory.history("ada") == all_turns
    assert len(world.turns("ada")) == 4
    world.redis.delete(KEY)
    assert memory.history("ada") == all_turns
