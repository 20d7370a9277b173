"""Servers that refuse, hang or die in the middle of a call: nothing is lost or doubled, nobody is left guessing."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from redis_perf_reference import CacheUnavailable, ConsecutiveFailures, Flushed, NotFlushed, Turn
from redis_perf_reference.entry import decode

PATIENT = {"socket_timeout": 10, "socket_connect_timeout": 10, "retry": None}
IMPATIENT = {**PATIENT, "socket_timeout": 0.5}
"""For what hangs."""
NOW = datetime.now(UTC)
BREAKER_OPEN = "Redis not asked: the breaker is open"


def turns(count: int) -> list[Turn]:
    return [Turn("user", f"turn {n}", turn_id=str(n), created_at=NOW) for n in range(count)]


def ids(world: Any, user_id: str = "ada") -> list[str]:
    return [turn_id for _, turn_id, _ in world.saved(user_id)]


@pytest.mark.parametrize("mode", ["refuse", "hang", "lose_reply"])
def test_without_redis_pushes_and_reads_go_on_and_say_so(
    world: Any, redis_relay: Any, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = IMPATIENT if mode == "hang" else PATIENT
    memory = world.memory(redis_url=redis_relay.address, client=client, breaker=ConsecutiveFailures(open_seconds=3600))
    assert any(memory.push_turns("ada", "s", turns(2)).cached for _ in range(3))  # a machine may be too slow for once
    caplog.clear()
    redis_relay.mode = mode
    with caplog.at_level(logging.WARNING, "redis_perf_reference"):
        skipped = [memory.push_turn("ada", "s", turn).skipped for turn in turns(7)[2:]]
    assert [reason.split(": ")[0] for reason in skipped[:3]] == ["Redis did not answer EVALSHA"] * 3
    assert skipped[3:] == [BREAKER_OPEN] * 2
    assert [record.getMessage() for record in caplog.records] == skipped[:3]
    assert memory.history("ada") == turns(7)
    assert memory.set_summary("ada", "x").skipped == BREAKER_OPEN
    assert memory.summary("ada") == "x"


def test_when_redis_is_back_its_old_list_is_refilled_not_believed(world: Any, redis_relay: Any) -> None:
    clock = [0.0]
    breaker = ConsecutiveFailures(threshold=1, open_seconds=1, clock=lambda: clock[0])
    memory = world.memory(redis_url=redis_relay.address, client=PATIENT, breaker=breaker)
    memory.push_turns("ada", "s", turns(2))
    memory.set_summary("ada", "old")
    redis_relay.mode = "refuse"
    memory.push_turn("ada", "s", turns(3)[2])
    memory.set_summary("ada", "new")
    redis_relay.mode = "pass"
    clock[0] = 2.0
    assert len(world.turns("ada")) == 2
    assert memory.history("ada") == turns(3)
    assert memory.summary("ada") == "new"
    assert (len(world.turns("ada")), b"new" in world.redis.get("working:{ada}:summary")) == (3, True)


def test_a_process_that_did_not_see_the_outage_notices_the_hole_at_the_next_turn(world: Any, redis_relay: Any) -> None:
    cut_off, other = world.memory(redis_url=redis_relay.address, client=PATIENT), world.other()
    cut_off.push_turns("ada", "s", turns(2))
    redis_relay.mode = "refuse"
    assert not cut_off.push_turn("ada", "s", turns(3)[2]).cached
    other.push_turn("ada", "s", turns(4)[3])
    assert [decode(line).turn.turn_id for line in world.turns("ada")] == ["0", "1", "3"]
    assert other.history("ada") == turns(4)
    assert [decode(line).turn.turn_id for line in world.turns("ada")] == ["0", "1", "2", "3"]


def test_flush_clear_and_delete_say_when_redis_is_away_and_may_be_repeated(world: Any, redis_relay: Any) -> None:
    breaker = ConsecutiveFailures(threshold=100)
    memory = world.memory(redis_url=redis_relay.address, client=PATIENT, breaker=breaker)
    memory.push_turns("ada", "s", turns(2))
    redis_relay.mode = "refuse"
    for call in (memory.flush, memory.clear, memory.delete_user, memory.set_aside):
        with pytest.raises(CacheUnavailable, match=r"^Redis did not answer "):
            call("ada")
    redis_relay.mode = "pass"
    assert memory.delete_user("ada") == 0
    assert world.redis.keys() == [b"working:{ada}:gone"]


def test_a_flush_whose_last_reply_is_lost_may_be_repeated(world: Any, redis_relay: Any) -> None:
    def lose_the_next_reply() -> None:
        redis_relay.mode = "lose_reply"

    memory = world.memory(redis_url=redis_relay.address, client=PATIENT, before_postgres=lose_the_next_reply)
    world.other().push_turns("ada", "s", turns(3))
    world.other().flush("bob")
    with pytest.raises(CacheUnavailable, match=r"^Redis did not answer EVAL"):
        memory.flush("ada")
    world.other().flush("ada")
    assert (ids(world), world.turns("ada")) == (["0", "1", "2"], [])


@pytest.mark.parametrize("mode", ["refuse", "lose_reply"])
def test_a_push_that_postgres_did_not_confirm_may_be_repeated(world: Any, postgres_relay: Any, mode: str) -> None:
    memory = world.memory(dsn=postgres_relay.address)
    memory.push_turn("ada", "s", turns(1)[0])
    postgres_relay.mode = mode
    with pytest.raises(psycopg.OperationalError):
        memory.push_turn("ada", "s", turns(2)[1])
    assert len(world.turns("ada")) == 1
    again = world.memory()
    again.push_turn("ada", "s", turns(2)[1])
    assert (ids(world), again.history("ada")) == (["0", "1"], turns(2))


def test_a_flush_whose_postgres_session_is_terminated_keeps_every_turn(world: Any) -> None:
    """A trigger ends the session at the second of three turns, so in the very middle of the INSERT."""
    world.other().push_turns("ada", "s", turns(3))
    world.postgres.execute("TRUNCATE messages")
    world.postgres.execute(
        """
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10); RETURN new; END $$
        """
    )
    world.postgres.execute(
        "CREATE TRIGGER die BEFORE INSERT ON messages FOR EACH ROW WHEN (new.turn_id = '1') EXECUTE FUNCTION die()"
    )
    with pytest.raises(NotFlushed, match=r"3 turns not saved, kept in Redis: "):
        world.memory().flush("ada")
    assert (ids(world), len(world.turns("ada"))) == ([], 3)
    world.postgres.execute("DROP TRIGGER die ON messages")
    assert world.memory().flush("ada") == Flushed(added=3)
    assert ids(world) == ["0", "1", "2"]


def test_what_is_cached_just_after_a_user_was_deleted_is_refused(world: Any) -> None:
    other = world.other()
    memory = world.memory()
    memory.push_turns("ada", "s", turns(2))
    world.redis.delete("working:{ada}:turns")
    assert memory.delete_user("ada") == 2
    assert other.push_turn("ada", "s", turns(1)[0]).skipped == "the user was deleted less than a minute ago"
    assert memory.history("ada") == turns(1)
    assert world.turns("ada") == []


def test_a_script_unknown_to_a_restarted_redis_is_sent_again_and_runs_once(world: Any) -> None:
    memory = world.memory()
    memory.push_turn("ada", "s", turns(1)[0])
    world.redis.script_flush()
    assert memory.push_turn("ada", "s", turns(2)[1]).cached
    assert len(world.turns("ada")) == 2


PUSHER = """
import sys, psycopg
from redis_perf_reference import OneConnection, Turn, WorkingMemory, connect_redis
redis_url, dsn, name = sys.argv[1:]
with psycopg.connect(dsn, autocommit=True) as connection, connect_redis(redis_url, timeout_seconds=10) as redis:
    memory = WorkingMemory(redis, OneConnection(connection), max_turns=500)
    for n in range(100):
        assert memory.push_turn("ada", name, Turn("user", f"{name} {n}", turn_id=str(n))).cached
"""


def test_two_processes_push_while_a_third_flushes_and_each_turn_is_there_once(world: Any) -> None:
    arguments = [sys.executable, "-c", PUSHER, world.redis_url, world.dsn]
    pushers = [subprocess.Popen([*arguments, name]) for name in ("a", "b")]
    memory, flushed = world.memory(max_turns=500, client={"socket_timeout": 10}), Flushed()
    while any(pusher.poll() is None for pusher in pushers):
        flushed += memory.flush("ada")
    flushed += memory.flush("ada")
    assert [pusher.returncode for pusher in pushers] == [0, 0]
    assert flushed == Flushed(known=200)
    expected = {name: [f"{name} {n}" for n in range(100)] for name in ("a", "b")}
    for name in ("a", "b"):
        assert [content for session, _, content in world.saved("ada") if session == name] == expected[name]
        assert [turn.content for turn in memory.history("ada", name, last_turns=200)] == expected[name]
    assert len(memory.history("ada", last_turns=500)) == 200
