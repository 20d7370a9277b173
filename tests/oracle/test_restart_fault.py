"""The fault `Restart`: a real server killed and started again, before or after it executed a request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytest.importorskip("redis")

import redis

from redis_perf import ServerUnavailable, servers
from redis_perf.proxy import Proxy, fault_points
from redis_perf.proxy.faults import Restart, command, nth_round_trip, statement
from redis_perf.servers import embedded
from redis_perf.servers.guard import Guard
from redis_perf.servers.lifecycle import Crash
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.local_redis import LocalRedis
from redis_perf.servers.redis_options import RedisOptions

HOLD_NS = 3_000_000


@pytest.fixture(scope="module")
def durable(valkey_server: object) -> Iterator[LocalRedis]:
    server = LocalRedis("embedded", embedded.redis_binary(), RedisOptions(appendonly=True, password="x"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_postgres(postgres_server: object) -> Iterator[LocalPostgres]:
    server = embedded.postgres()
    yield server
    server.stop()


@pytest.fixture(params=[0, HOLD_NS], ids=["no latency", "latency"])
def proxy(request: pytest.FixtureRequest, durable: LocalRedis, own_postgres: LocalPostgres) -> Iterator[Proxy]:
    durable.reset()
    with own_postgres.database() as dsn, Proxy(redis=durable.url, postgres=dsn, latency_ns=request.param) as proxy:
        yield proxy


def client(proxy: Proxy) -> redis.Redis:
    return redis.Redis.from_url(proxy.url("redis"), retry=None, socket_timeout=10)


@pytest.mark.parametrize(("side", "kept"), [("before", None), ("after", b"1")])
def test_a_redis_restarts_at_the_command_asked_for_and_the_next_connection_finds_it(
    side: Any, kept: bytes | None, proxy: Proxy, durable: LocalRedis
) -> None:
    (before,) = durable.ask(["INFO", "server"])
    with client(proxy) as broken, client(proxy) as other:
        broken.set("k", "v")
        other.get("k")
        with proxy.faulty("redis", Restart(durable, side, on=command("INCRBY"))) as lying:
            with pytest.raises(redis.ConnectionError):
                broken.incr("n")
            assert broken.get("n") == kept
            assert other.get("k") == b"v"
        assert lying.fired == 1
    (after,) = durable.ask(["INFO", "server"])
    assert run_id(before) != run_id(after)
    assert durable.alive


@pytest.mark.parametrize(("side", "kept"), [("before", []), ("after", [(1,)])])
def test_a_postgres_restarts_at_the_statement_asked_for_and_the_next_connection_finds_it(
    side: Any, kept: list[tuple[int]], proxy: Proxy, own_postgres: LocalPostgres
) -> None:
    url = proxy.url("postgres")
    with psycopg.connect(url, autocommit=True) as broken:
        broken.execute("CREATE TABLE t (x int)")
        with proxy.faulty("postgres", Restart(own_postgres, side, on=statement("INSERT"))) as lying:
            with pytest.raises(psycopg.OperationalError):
                broken.execute("INSERT INTO t VALUES (1)")
            with psycopg.connect(url) as found:
                assert found.execute("SELECT x FROM t").fetchall() == kept
        assert lying.fired == 1


@pytest.mark.parametrize(("side", "kept"), [("before", []), ("after", [(1,)])])
def test_a_commit_is_kept_if_the_server_had_executed_it(
    side: Any, kept: list[tuple[int]], proxy: Proxy, own_postgres: LocalPostgres
) -> None:
    url = proxy.url("postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (x int)")
    connection = psycopg.connect(url)
    connection.execute("INSERT INTO t VALUES (1)")
    with proxy.faulty("postgres", Restart(own_postgres, side, on=statement("COMMIT"))):
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        with psycopg.connect(url) as found:
            assert found.execute("SELECT x FROM t").fetchall() == kept
    connection.close()


def test_a_request_whose_server_restarted_is_lost_in_the_trace(proxy: Proxy, durable: LocalRedis) -> None:
    with client(proxy) as broken:
        broken.ping()
        with proxy.record() as seen, proxy.faulty("redis", Restart(durable, "after", on=command("INCRBY"))):
            with pytest.raises(redis.ConnectionError):
                broken.incr("n")
            broken.get("n")
    assert (seen.trace.redis.lost, seen.trace.redis.round_trips) == (1, 1)


def test_fault_points_may_restart_the_server_at_each_round_trip(proxy: Proxy, durable: LocalRedis) -> None:
    seen = []

    def run() -> None:
        with client(proxy) as fresh:
            fresh.incr("a")
            fresh.incr("b")

    for point in fault_points(proxy, run, breaking=lambda server, side, on: Restart(durable, side, on)):
        durable.reset()
        with point, pytest.raises(redis.ConnectionError):
            run()
        counts = durable.ask(["MGET", "a", "b"])[0]
        seen.append((point.number, point.when, counts))
    assert seen == [
        (1, "before", [None, None]),
        (1, "after", [b"1", None]),
        (2, "before", [b"1", None]),
        (2, "after", [b"1", b"1"]),
    ]


class Gone:
    """What is left of a server that was stopped meanwhile."""

    crashing = Crash(Guard(Path("/nowhere")), ask=time.monotonic)


def test_a_server_that_cannot_be_killed_breaks_the_connection_and_the_trace_says_why(proxy: Proxy) -> None:
    with client(proxy) as broken:
        broken.ping()
        fault = Restart(Gone(), on=nth_round_trip(1))
        with proxy.record() as seen, proxy.faulty("redis", fault), pytest.raises(redis.ConnectionError):
            broken.get("k")
    (note,) = [note for note in seen.trace.notes if "restarts" in note]
    assert note.startswith("redis: a fault restarts it: cannot kill the server: it was stopped (")


def test_a_server_that_is_not_ours_cannot_be_restarted(redis_url: str) -> None:
    with pytest.raises(ServerUnavailable, match="is not ours, so it cannot be killed"):
        Restart(servers.redis(redis_url))


def run_id(info: object) -> str:
    assert isinstance(info, bytes)
    return next(line for line in info.decode().splitlines() if line.startswith("run_id:"))
